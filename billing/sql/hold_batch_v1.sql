-- Places holds: one round trip, one wallet UPDATE an organization, whatever the batch.
-- p_items: [{request_id, organization_id, key_id, amount_nano, price_version_id, model, endpoint}]
-- Verdicts: held, duplicate (this very hold stands already: a retry whose acknowledgement was lost),
-- settled, conflict (the id is another's), no_wallet, suspended, in_flight (open holds leave no room),
-- insufficient. Funds are looked at last, or that retry would be told that it has no money.
CREATE FUNCTION hold_batch_v1(p_items json, p_ttl_s double precision, p_owner text)
RETURNS TABLE(i bigint, verdict text, posted bigint, held bigint, available bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r record;
    w wallet;
    other hold;
    current bigint;
    taken bigint := 0;
    word text;
BEGIN
    -- Wallets are locked in one order, always before holds: no deadlock. NO KEY: foreign keys may pass.
    PERFORM 1 FROM wallet
        WHERE organization_id IN (SELECT x.organization_id FROM json_to_recordset(p_items) x(organization_id bigint))
        ORDER BY organization_id FOR NO KEY UPDATE;
    FOR r IN
        SELECT u.* FROM ROWS FROM (json_to_recordset(p_items) AS (
            request_id uuid, organization_id bigint, key_id bigint, amount_nano bigint,
            price_version_id bigint, model text, endpoint text)) WITH ORDINALITY AS
            u(request_id, organization_id, key_id, amount_nano, price_version_id, model, endpoint, n)
        ORDER BY u.organization_id, u.n
    LOOP
        IF current IS DISTINCT FROM r.organization_id THEN
            IF taken > 0 THEN
                UPDATE wallet SET held_nano = held_nano + taken, version = version + 1
                    WHERE organization_id = current;
            END IF;
            current := r.organization_id;
            taken := 0;
            SELECT * INTO w FROM wallet WHERE organization_id = current;
        END IF;
        SELECT * INTO other FROM hold h WHERE h.request_id = r.request_id;
        IF other.request_id IS NOT NULL THEN
            word := CASE WHEN other.organization_id = r.organization_id
                          AND other.amount_nano = r.amount_nano THEN 'duplicate' ELSE 'conflict' END;
        ELSIF EXISTS (SELECT 1 FROM settlement s WHERE s.request_id = r.request_id) THEN
            word := 'settled';
        ELSIF w.organization_id IS NULL THEN
            word := 'no_wallet';
        ELSIF w.status <> 1 THEN
            word := 'suspended';
        ELSIF r.amount_nano > w.posted_nano - w.held_nano + w.credit_limit_nano THEN
            word := CASE WHEN r.amount_nano <= w.posted_nano + w.credit_limit_nano
                         THEN 'in_flight' ELSE 'insufficient' END;
        ELSE
            INSERT INTO hold (request_id, organization_id, key_id, amount_nano, price_version_id,
                              model, endpoint, owner, created_at, expires_at)
                VALUES (r.request_id, r.organization_id, r.key_id, r.amount_nano, r.price_version_id,
                        r.model, r.endpoint, p_owner, clock_timestamp(),
                        clock_timestamp() + make_interval(secs => p_ttl_s));
            w.held_nano := w.held_nano + r.amount_nano;
            taken := taken + r.amount_nano;
            word := 'held';
        END IF;
        i := r.n - 1;
        verdict := word;
        posted := w.posted_nano + w.credit_limit_nano;
        held := w.held_nano;
        available := posted - held;
        RETURN NEXT;
    END LOOP;
    IF taken > 0 THEN
        UPDATE wallet SET held_nano = held_nano + taken, version = version + 1
            WHERE organization_id = current;
    END IF;
END $$;
