-- usage_rollup counts pictures and characters as well: the triggers of usage_rollup_v1, with two sums more.
-- Those functions stay as they are; the triggers go to these.

CREATE FUNCTION usage_rollup_add_v2() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_rollup AS kept (
        organization_id, bucket, key_id, model, provider, endpoint, requests, errors, input_tokens,
        cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, characters,
        cost_nano, latency_ms_sum)
    SELECT organization_id, usage_bucket_v1(request_id) AS bucket, key_id, model, provider, endpoint,
           count(*), count(*) FILTER (WHERE usage_is_error_v1(status)), sum(input_tokens), sum(cache_read),
           sum(cache_write + cache_write_1h), sum(output_tokens), sum(reasoning), sum(images),
           sum(characters), sum(cost_nano), sum(latency_ms)
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
        images = kept.images + excluded.images,
        characters = kept.characters + excluded.characters,
        cost_nano = kept.cost_nano + excluded.cost_nano,
        latency_ms_sum = kept.latency_ms_sum + excluded.latency_ms_sum;
    RETURN NULL;
END $$;

CREATE FUNCTION usage_rollup_add_late_v2() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE usage_rollup kept SET
        input_tokens = kept.input_tokens + late.input_tokens,
        cache_read_tokens = kept.cache_read_tokens + late.cache_read,
        cache_write_tokens = kept.cache_write_tokens + late.cache_write,
        output_tokens = kept.output_tokens + late.output_tokens,
        reasoning_tokens = kept.reasoning_tokens + late.reasoning,
        images = kept.images + late.images,
        characters = kept.characters + late.characters,
        cost_nano = kept.cost_nano + NEW.amount_nano
    FROM usage_event e, usage_of_late_v2(NEW.meta) late
    WHERE e.request_id = NEW.txn_id
      AND kept.organization_id = e.organization_id AND kept.bucket = usage_bucket_v1(e.request_id)
      AND kept.key_id = e.key_id AND kept.model = e.model AND kept.provider = e.provider
      AND kept.endpoint = e.endpoint;
    RETURN NULL;
END $$;

-- The quantities in the journal's note of a late capture; settle_batch_v1 notes no images and characters.
CREATE FUNCTION usage_of_late_v2(p_meta jsonb)
RETURNS TABLE(input_tokens bigint, cache_read bigint, cache_write bigint, output_tokens bigint,
              reasoning bigint, images bigint, characters bigint)
LANGUAGE sql IMMUTABLE AS $$
    SELECT x.input + x.cache_read + x.cache_write + x.cache_write_1h + x.input_audio + x.input_image,
           x.cache_read, x.cache_write + x.cache_write_1h,
           x.output + x.reasoning + x.output_audio + x.output_image, x.reasoning,
           coalesce(x.images, 0), coalesce(x.characters, 0)
    FROM jsonb_to_record(p_meta) AS x(
        input bigint, cache_read bigint, cache_write bigint, cache_write_1h bigint, input_audio bigint,
        input_image bigint, output bigint, reasoning bigint, output_audio bigint, output_image bigint,
        images bigint, characters bigint)
$$;

CREATE OR REPLACE TRIGGER usage_rollup AFTER INSERT ON usage_event REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION usage_rollup_add_v2();
CREATE OR REPLACE TRIGGER usage_rollup_late AFTER INSERT ON ledger_transfer
    FOR EACH ROW WHEN (NEW.ref_type = 2) EXECUTE FUNCTION usage_rollup_add_late_v2();
