-- An organization without a wallet cannot be: a trigger makes both it and its account in the journal.

-- The wallet is the hot row: room on its page and no index on what changes keep its updates in place.
ALTER TABLE wallet SET (fillfactor = 50);
-- Holds come and go; vacuum by count, not by share.
ALTER TABLE hold SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- The account of that code, made when it is new.
CREATE FUNCTION ledger_account_v1(p_code text, p_kind int, p_organization bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found_id bigint;
BEGIN
    SELECT a.id INTO found_id FROM ledger_account a WHERE a.code = p_code;
    IF found_id IS NULL THEN
        INSERT INTO ledger_account (code, kind, organization_id)
            VALUES (p_code, p_kind, p_organization) ON CONFLICT (code) DO NOTHING;
        SELECT a.id INTO found_id FROM ledger_account a WHERE a.code = p_code;
    END IF;
    RETURN found_id;
END $$;

SELECT ledger_account_v1('income:usage', 3), ledger_account_v1('expense:overage_writeoff', 4),
       ledger_account_v1('expense:promo', 4);

CREATE FUNCTION wallet_of_organization() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO wallet (organization_id, account_id)
        VALUES (NEW.id, ledger_account_v1('wallet:' || NEW.id, 2, NEW.id));
    RETURN NULL;
END $$;

CREATE TRIGGER organization_wallet AFTER INSERT ON organization
    FOR EACH ROW EXECUTE FUNCTION wallet_of_organization();

INSERT INTO wallet (organization_id, account_id)
    SELECT o.id, ledger_account_v1('wallet:' || o.id, 2, o.id) FROM organization o
    ON CONFLICT DO NOTHING;

CREATE TRIGGER wallet_stays BEFORE DELETE ON wallet
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER ledger_account_stays BEFORE DELETE ON ledger_account
    FOR EACH ROW EXECUTE FUNCTION append_only();

-- Each transfer as two signed rows: debits are negative, so a wallet's sum is its posted balance.
CREATE VIEW ledger_entry AS
    SELECT id AS transfer_id, txn_id, ledger, debit_account AS account_id, -amount_nano AS amount_nano,
           code, organization_id, ref_type, ref_id, leg, created_at FROM ledger_transfer
    UNION ALL
    SELECT id, txn_id, ledger, credit_account, amount_nano,
           code, organization_id, ref_type, ref_id, leg, created_at FROM ledger_transfer;
