-- usage_rollup: what the reports read. Sums of usage_event by half an hour of the request's own time (its
-- UUIDv7), so that days come out right in every zone but those of a quarter. Kept by triggers, in the very
-- transaction that settles: no job, nothing counted twice or late. Whoever writes usage holds its wallet's
-- lock, so the rows of an organization have one writer at a time.

CREATE FUNCTION usage_bucket_v1(p_request uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT to_timestamp(
        ('x0000' || left(replace(p_request::text, '-', ''), 12))::bit(64)::bigint / 1800000 * 1800)
$$;

-- A client who left is no error.
CREATE FUNCTION usage_is_error_v1(p_status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_status NOT IN ('ok', 'client_cancelled')
$$;

CREATE FUNCTION usage_rollup_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_rollup AS kept (
        organization_id, bucket, key_id, model, provider, endpoint, requests, errors, input_tokens,
        cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_nano, latency_ms_sum)
    SELECT organization_id, usage_bucket_v1(request_id) AS bucket, key_id, model, provider, endpoint,
           count(*), count(*) FILTER (WHERE usage_is_error_v1(status)), sum(input_tokens), sum(cache_read),
           sum(cache_write + cache_write_1h), sum(output_tokens), sum(reasoning), sum(cost_nano),
           sum(latency_ms)
    FROM added
    GROUP BY organization_id, bucket, key_id, model, provider, endpoint
    ORDER BY organization_id, bucket, key_id, model, provider, endpoint
    ON CONFLICT (organization_id, bucket, key_id, model, provider, endpoint) DO UPDATE SET
        requests = kept.requests + excluded.requests,
        errors = kept.errors + excluded.errors,
        input_tokens = kept.input_tokens + excluded.input_tokens,
        cache_read_tokens = kept.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = kept.cache_write_tokens + excluded.cache_write_tokens,
        output_tokens = kept.output_tokens + excluded.output_tokens,
        reasoning_tokens = kept.reasoning_tokens + excluded.reasoning_tokens,
        cost_nano = kept.cost_nano + excluded.cost_nano,
        latency_ms_sum = kept.latency_ms_sum + excluded.latency_ms_sum;
    RETURN NULL;
END $$;

-- What came after the hold had expired belongs to the half hour of the request, whose event says zero.
CREATE FUNCTION usage_rollup_add_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE usage_rollup kept SET
        input_tokens = kept.input_tokens + late.input_tokens,
        cache_read_tokens = kept.cache_read_tokens + late.cache_read,
        cache_write_tokens = kept.cache_write_tokens + late.cache_write,
        output_tokens = kept.output_tokens + late.output_tokens,
        reasoning_tokens = kept.reasoning_tokens + late.reasoning,
        cost_nano = kept.cost_nano + NEW.amount_nano
    FROM usage_event e, usage_of_late_v1(NEW.meta) late
    WHERE e.request_id = NEW.txn_id
      AND kept.organization_id = e.organization_id AND kept.bucket = usage_bucket_v1(e.request_id)
      AND kept.key_id = e.key_id AND kept.model = e.model AND kept.provider = e.provider
      AND kept.endpoint = e.endpoint;
    RETURN NULL;
END $$;

-- The quantities in the journal's note of a late capture (settle_batch_v1 writes its item there).
CREATE FUNCTION usage_of_late_v1(p_meta jsonb)
RETURNS TABLE(input_tokens bigint, cache_read bigint, cache_write bigint, output_tokens bigint, reasoning bigint)
LANGUAGE sql IMMUTABLE AS $$
    SELECT x.input + x.cache_read + x.cache_write + x.cache_write_1h + x.input_audio + x.input_image,
           x.cache_read, x.cache_write + x.cache_write_1h,
           x.output + x.reasoning + x.output_audio + x.output_image, x.reasoning
    FROM jsonb_to_record(p_meta) AS x(
        input bigint, cache_read bigint, cache_write bigint, cache_write_1h bigint, input_audio bigint,
        input_image bigint, output bigint, reasoning bigint, output_audio bigint, output_image bigint)
$$;

LOCK TABLE usage_event, ledger_transfer IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO usage_rollup (
    organization_id, bucket, key_id, model, provider, endpoint, requests, errors, input_tokens,
    cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost_nano, latency_ms_sum)
SELECT e.organization_id, usage_bucket_v1(e.request_id), e.key_id, e.model, e.provider, e.endpoint,
       count(*), count(*) FILTER (WHERE usage_is_error_v1(e.status)),
       sum(e.input_tokens + coalesce(l.input_tokens, 0)), sum(e.cache_read + coalesce(l.cache_read, 0)),
       sum(e.cache_write + e.cache_write_1h + coalesce(l.cache_write, 0)),
       sum(e.output_tokens + coalesce(l.output_tokens, 0)), sum(e.reasoning + coalesce(l.reasoning, 0)),
       sum(e.cost_nano + coalesce(t.amount_nano, 0)), sum(e.latency_ms)
FROM usage_event e
LEFT JOIN ledger_transfer t ON t.ref_type = 2 AND t.ref_id = e.request_id::text
LEFT JOIN LATERAL usage_of_late_v1(t.meta) l ON t.meta IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6;

CREATE TRIGGER usage_rollup AFTER INSERT ON usage_event REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION usage_rollup_add();
CREATE TRIGGER usage_rollup_late AFTER INSERT ON ledger_transfer
    FOR EACH ROW WHEN (NEW.ref_type = 2) EXECUTE FUNCTION usage_rollup_add_late();
