-- Resolves holds: deletes each, writes its settlement, usage event and journal rows, and updates each
-- wallet once. Idempotent by request_id; no two items of a batch may have the same one.
-- p_items: the columns of usage_event below, with charge_nano (what was used, priced) and the split of
-- the cost as the caller saw it. A line of settle_batch_v1's, which has no images and characters, is one
-- of none. Answers one row per item that was applied:
-- settled, without_hold (PostgreSQL had forgotten the hold: captured from what was available),
-- late (the hold had expired: an adjustment was posted, limited to what was available).
CREATE FUNCTION settle_batch_v2(p_items json, p_by text)
RETURNS TABLE(request_id uuid, verdict text, captured_nano bigint, overage_nano bigint)
LANGUAGE plpgsql
-- Index lookups always: the planner does not know how short p_items is, nor how full of dead rows hold.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    r record;
    w wallet;
    earlier settlement;
    amount bigint;
    income bigint := ledger_account_v1('income:usage', 3);
    writeoff bigint := ledger_account_v1('expense:overage_writeoff', 4);
    forgotten uuid[] := '{}';
BEGIN
    PERFORM 1 FROM wallet
        WHERE organization_id IN (SELECT x.organization_id FROM json_to_recordset(p_items) x(organization_id bigint))
        ORDER BY organization_id FOR NO KEY UPDATE;

    -- Rare: items whose hold is gone.
    FOR r IN
        SELECT x.* FROM json_to_recordset(p_items) AS x(
            request_id uuid, organization_id bigint, key_id bigint, price_version_id bigint,
            charge_nano bigint, cost_nano bigint, input_cost_nano bigint,
            model text, endpoint text, price_snapshot jsonb, attempts jsonb,
            input bigint, cache_read bigint, cache_write bigint, cache_write_1h bigint, input_audio bigint,
            input_image bigint, output bigint, reasoning bigint, output_audio bigint, output_image bigint,
            images bigint, characters bigint)
        WHERE NOT EXISTS (SELECT 1 FROM hold h WHERE h.request_id = x.request_id)
    LOOP
        SELECT * INTO earlier FROM settlement s WHERE s.request_id = r.request_id;
        SELECT * INTO w FROM wallet WHERE organization_id = r.organization_id;
        amount := greatest(0, least(r.charge_nano, w.posted_nano - w.held_nano + w.credit_limit_nano));
        IF earlier.request_id IS NULL THEN
            INSERT INTO hold (request_id, organization_id, key_id, amount_nano, price_version_id,
                              model, endpoint, owner, created_at, expires_at)
                VALUES (r.request_id, r.organization_id, r.key_id, amount, r.price_version_id,
                        r.model, r.endpoint, p_by, clock_timestamp(), clock_timestamp());
            UPDATE wallet SET held_nano = held_nano + amount WHERE organization_id = r.organization_id;
            forgotten := forgotten || r.request_id;
        ELSIF earlier.outcome = 3 AND amount > 0 AND earlier.organization_id = r.organization_id THEN
            INSERT INTO ledger_transfer (txn_id, debit_account, credit_account, amount_nano, code,
                                         organization_id, ref_type, ref_id, created_at, meta)
                VALUES (r.request_id, w.account_id, income, amount, 3,
                        r.organization_id, 2, r.request_id::text, clock_timestamp(), to_jsonb(r))
                ON CONFLICT (ref_type, ref_id, leg) DO NOTHING;
            IF FOUND THEN
                UPDATE wallet SET posted_nano = posted_nano - amount, version = version + 1
                    WHERE organization_id = r.organization_id;
                request_id := r.request_id;
                verdict := 'late';
                captured_nano := amount;
                overage_nano := r.charge_nano - amount;
                RETURN NEXT;
            END IF;
        END IF;
    END LOOP;

    RETURN QUERY
    WITH item AS MATERIALIZED (
        SELECT * FROM json_to_recordset(p_items) AS x(
            request_id uuid, organization_id bigint, key_id bigint, end_user text,
            endpoint text, protocol text, requested_model text, model text, provider text,
            provider_request_id text, stream boolean, attempts jsonb,
            input bigint, cache_read bigint, cache_write bigint, cache_write_1h bigint, input_audio bigint,
            input_image bigint, output bigint, reasoning bigint, output_audio bigint, output_image bigint,
            requests bigint, web_searches bigint, images bigint, characters bigint,
            input_tokens bigint, output_tokens bigint, usage_source smallint, usage_raw jsonb,
            price_version_id bigint, price_snapshot jsonb, unpriced text[],
            charge_nano bigint, cost_nano bigint, input_cost_nano bigint,
            status text, http_status smallint, error_code text, finish_reason text, outcome smallint,
            first_byte_ms int, latency_ms int, bytes_out bigint)
    ), gone AS (
        DELETE FROM hold h USING item i
            WHERE h.request_id = i.request_id AND h.organization_id = i.organization_id
            RETURNING h.request_id, h.amount_nano
    ), split AS MATERIALIZED (
        SELECT i.*, g.amount_nano AS hold_nano, least(i.charge_nano, g.amount_nano) AS captured,
               i.charge_nano - least(i.charge_nano, g.amount_nano) AS overage
        FROM gone g JOIN item i ON i.request_id = g.request_id
    ), done AS MATERIALIZED (
        SELECT s.*, w.account_id,
               CASE WHEN s.captured = s.cost_nano THEN s.input_cost_nano
                    WHEN s.cost_nano = 0 THEN s.captured
                    ELSE round(s.input_cost_nano::numeric * s.captured / s.cost_nano)::bigint END AS input_cost
        FROM split s JOIN wallet w ON w.organization_id = s.organization_id
    ), settled AS (
        INSERT INTO settlement (request_id, organization_id, outcome, hold_nano, charge_nano,
                                captured_nano, overage_nano, without_hold, settled_at, settled_by)
        SELECT d.request_id, d.organization_id, d.outcome, d.hold_nano, d.charge_nano,
               d.captured, d.overage, d.request_id = ANY(forgotten), clock_timestamp(), p_by
        FROM done d
    ), event AS (
        INSERT INTO usage_event (
            request_id, organization_id, key_id, end_user, endpoint, protocol, requested_model, model,
            provider, provider_request_id, stream, attempts, input, cache_read, cache_write,
            cache_write_1h, input_audio, input_image, output, reasoning, output_audio, output_image,
            requests, web_searches, images, characters, input_tokens, output_tokens, usage_source, usage_raw,
            price_version_id, price_snapshot, unpriced, charge_nano, cost_nano, input_cost_nano,
            output_cost_nano, status, http_status, error_code, finish_reason, outcome,
            first_byte_ms, latency_ms, bytes_out, created_at)
        SELECT d.request_id, d.organization_id, d.key_id, d.end_user, d.endpoint, d.protocol,
               d.requested_model, d.model, d.provider, d.provider_request_id, d.stream, d.attempts,
               d.input, d.cache_read, d.cache_write, d.cache_write_1h, d.input_audio, d.input_image,
               d.output, d.reasoning, d.output_audio, d.output_image, d.requests, d.web_searches,
               coalesce(d.images, 0), coalesce(d.characters, 0), d.input_tokens, d.output_tokens,
               d.usage_source, d.usage_raw, d.price_version_id, d.price_snapshot, d.unpriced, d.charge_nano, d.captured, d.input_cost,
               d.captured - d.input_cost, d.status, d.http_status, d.error_code, d.finish_reason,
               d.outcome, d.first_byte_ms, d.latency_ms, d.bytes_out, clock_timestamp()
        FROM done d
    ), journal AS (
        INSERT INTO ledger_transfer (txn_id, debit_account, credit_account, amount_nano, code,
                                     organization_id, ref_type, ref_id, leg, created_at)
        SELECT d.request_id, d.account_id, income, d.captured, 1,
               d.organization_id, 1, d.request_id::text, 0, clock_timestamp()
        FROM done d WHERE d.captured > 0
        UNION ALL
        SELECT d.request_id, writeoff, income, d.overage, 2,
               d.organization_id, 1, d.request_id::text, 1, clock_timestamp()
        FROM done d WHERE d.overage > 0
    ), balance AS (
        UPDATE wallet w SET posted_nano = w.posted_nano - t.captured, held_nano = w.held_nano - t.freed,
                            version = w.version + 1
        FROM (SELECT d.organization_id, sum(d.captured)::bigint AS captured, sum(d.hold_nano)::bigint AS freed
              FROM done d GROUP BY d.organization_id) t
        WHERE w.organization_id = t.organization_id
    )
    SELECT d.request_id, CASE WHEN d.request_id = ANY(forgotten) THEN 'without_hold' ELSE 'settled' END,
           d.captured, d.overage
    FROM done d;
END $$;
