-- Gives credit: journal and wallet in one transaction, once per p_ref. Answers the new posted balance,
-- or NULL where there is no such wallet.
CREATE FUNCTION grant_v1(p_organization bigint, p_amount bigint, p_source text, p_ref uuid, p_meta jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    w wallet;
BEGIN
    SELECT * INTO w FROM wallet WHERE organization_id = p_organization FOR NO KEY UPDATE;
    IF w.organization_id IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO ledger_transfer (txn_id, debit_account, credit_account, amount_nano, code,
                                 organization_id, ref_type, ref_id, created_at, meta)
        VALUES (p_ref, ledger_account_v1(p_source, 4), w.account_id, p_amount, 4,
                p_organization, 3, p_ref::text, clock_timestamp(), p_meta)
        ON CONFLICT (ref_type, ref_id, leg) DO NOTHING;
    IF FOUND THEN
        UPDATE wallet SET posted_nano = posted_nano + p_amount, version = version + 1
            WHERE organization_id = p_organization RETURNING posted_nano INTO w.posted_nano;
    END IF;
    RETURN w.posted_nano;
END $$;
