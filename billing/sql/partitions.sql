-- settlement and usage_event become partitioned by month on request_id, a UUIDv7 and so ordered by time:
-- the primary key stays request_id alone, and a lookup by id touches one partition.

CREATE FUNCTION uuid7_floor(p_at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex((extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

ALTER TABLE settlement RENAME TO settlement_plain;
CREATE TABLE settlement (LIKE settlement_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (request_id);
DROP TABLE settlement_plain;
ALTER TABLE settlement ADD PRIMARY KEY (request_id);
CREATE TABLE settlement_default PARTITION OF settlement DEFAULT;

ALTER TABLE usage_event RENAME TO usage_event_plain;
CREATE TABLE usage_event (LIKE usage_event_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (request_id);
DROP TABLE usage_event_plain;
ALTER TABLE usage_event ADD PRIMARY KEY (request_id);
CREATE INDEX usage_event_org ON usage_event (organization_id, request_id);
CREATE INDEX usage_event_key ON usage_event (key_id, request_id);
CREATE INDEX usage_event_created ON usage_event USING brin (created_at);
CREATE TABLE usage_event_default PARTITION OF usage_event DEFAULT;

-- Triggers refuse every edit. TRUNCATE is refused where there is anything to lose.
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    filled boolean := true;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', TG_TABLE_NAME) INTO filled;
    END IF;
    IF filled THEN
        RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON settlement
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON usage_event
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON ledger_transfer
    FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON settlement
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON settlement_default
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON usage_event
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON usage_event_default
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON ledger_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- Partitions from last month (a replayed spool may be that old) to p_months ahead. Cheap when all exist.
-- Row triggers and indexes come with ATTACH; the TRUNCATE trigger does not.
CREATE FUNCTION ensure_partitions_v1(p_months int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    part text;
    month timestamp;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('billing.partitions'));
    FOREACH parent IN ARRAY ARRAY['settlement', 'usage_event'] LOOP
        FOR month IN SELECT date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n)
                     FROM generate_series(-1, p_months) n LOOP
            part := parent || to_char(month, '"_y"YYYY"m"MM');
            CONTINUE WHEN to_regclass(part) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part,
                           uuid7_floor(month AT TIME ZONE 'UTC'),
                           uuid7_floor((month + interval '1 month') AT TIME ZONE 'UTC'));
            EXECUTE format('CREATE TRIGGER append_only_table BEFORE TRUNCATE ON %I'
                           ' FOR EACH STATEMENT EXECUTE FUNCTION append_only()', part);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

SELECT ensure_partitions_v1(3);
