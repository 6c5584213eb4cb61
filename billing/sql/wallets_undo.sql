DROP VIEW ledger_entry;
DROP TRIGGER ledger_account_stays ON ledger_account;
DROP TRIGGER wallet_stays ON wallet;
DROP TRIGGER organization_wallet ON organization;
DROP FUNCTION wallet_of_organization();
DROP FUNCTION ledger_account_v1(text, int, bigint);
