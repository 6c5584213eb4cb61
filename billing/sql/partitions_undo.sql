DROP FUNCTION ensure_partitions_v1(int);
DROP TRIGGER append_only_rows ON ledger_transfer;
DROP TRIGGER append_only_table ON ledger_transfer;

CREATE TABLE settlement_plain (LIKE settlement INCLUDING ALL);
INSERT INTO settlement_plain SELECT * FROM settlement;
DROP TABLE settlement;
ALTER TABLE settlement_plain RENAME TO settlement;

CREATE TABLE usage_event_plain (LIKE usage_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO usage_event_plain SELECT * FROM usage_event;
DROP TABLE usage_event;
ALTER TABLE usage_event_plain RENAME TO usage_event;
ALTER TABLE usage_event ADD PRIMARY KEY (request_id);
CREATE INDEX usage_event_org ON usage_event (organization_id, request_id);
CREATE INDEX usage_event_key ON usage_event (key_id, request_id);

DROP FUNCTION append_only();
DROP FUNCTION uuid7_floor(timestamptz);
