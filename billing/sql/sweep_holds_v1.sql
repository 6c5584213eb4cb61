-- Voids holds that nobody keeps alive: outcome 3 (expired), a settlement and a usage event of zero.
-- One sweeper at a time; holds that are just being settled are passed over. Answers the request ids.
-- For p_grace_s after the server's own start nobody is swept: the processes were cut off from it, and
-- their first heartbeats are under way.
CREATE FUNCTION sweep_holds_v1(p_limit int, p_grace_s double precision, p_by text)
RETURNS TABLE(request_id uuid, amount_nano bigint) LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    candidates uuid[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('billing.sweeper'))
       OR clock_timestamp() < pg_postmaster_start_time() + make_interval(secs => p_grace_s) THEN
        RETURN;
    END IF;
    candidates := array(SELECT h.request_id FROM hold h WHERE h.expires_at < clock_timestamp()
                        ORDER BY h.expires_at LIMIT p_limit);
    IF candidates = '{}' THEN
        RETURN;
    END IF;
    -- Wallets before holds, in order, as settling does.
    PERFORM 1 FROM wallet w
        WHERE w.organization_id IN (SELECT h.organization_id FROM hold h WHERE h.request_id = ANY(candidates))
        ORDER BY w.organization_id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH old AS MATERIALIZED (
        SELECT h.request_id FROM hold h
            WHERE h.request_id = ANY(candidates) AND h.expires_at < clock_timestamp()
            FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM hold h USING old o WHERE h.request_id = o.request_id RETURNING h.*
    ), settled AS (
        INSERT INTO settlement (request_id, organization_id, outcome, hold_nano, charge_nano,
                                captured_nano, overage_nano, settled_at, settled_by)
        SELECT g.request_id, g.organization_id, 3, g.amount_nano, 0, 0, 0, clock_timestamp(), p_by FROM gone g
    ), event AS (
        INSERT INTO usage_event (request_id, organization_id, key_id, endpoint, requested_model, model,
                                 usage_source, price_version_id, charge_nano, cost_nano, input_cost_nano,
                                 output_cost_nano, status, http_status, outcome, created_at)
        SELECT g.request_id, g.organization_id, g.key_id, g.endpoint, g.model, g.model,
               5, g.price_version_id, 0, 0, 0, 0, 'expired', 0, 3, clock_timestamp() FROM gone g
    ), balance AS (
        UPDATE wallet w SET held_nano = w.held_nano - t.freed, version = w.version + 1
        FROM (SELECT g.organization_id, sum(g.amount_nano)::bigint AS freed FROM gone g
              GROUP BY g.organization_id) t
        WHERE w.organization_id = t.organization_id
    )
    SELECT g.request_id, g.amount_nano FROM gone g;
END $$;

-- Moves the expiry of these holds on. Rows that are being settled are passed over, never waited for.
CREATE FUNCTION heartbeat_v1(p_requests uuid[], p_ttl_s double precision) RETURNS bigint LANGUAGE sql AS $$
    WITH mine AS MATERIALIZED (
        SELECT h.request_id FROM hold h WHERE h.request_id = ANY(p_requests) FOR NO KEY UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE hold h SET expires_at = clock_timestamp() + make_interval(secs => p_ttl_s)
        FROM mine m WHERE h.request_id = m.request_id RETURNING 1
    )
    SELECT count(*) FROM moved
$$;
