-- The invariants of the money: each query's rows are what breaks it. Read by billing/audit.py, which splits
-- at `-- I-NAME:` and gives overdue_s, the seconds after its expiry when a hold must be gone.

-- I-NONNEG: no wallet is below zero (a CHECK as well)
SELECT organization_id, posted_nano, held_nano FROM wallet
WHERE posted_nano - held_nano < -credit_limit_nano OR held_nano < 0 OR credit_limit_nano < 0;

-- I-HELD: what a wallet holds is the sum of its open holds
SELECT w.organization_id, w.held_nano, coalesce(h.sum, 0) FROM wallet w
LEFT JOIN (SELECT organization_id, sum(amount_nano) FROM hold GROUP BY 1) h USING (organization_id)
WHERE w.held_nano <> coalesce(h.sum, 0);

-- I-POSTED: a wallet's balance is what the journal says
SELECT w.organization_id, w.posted_nano, coalesce(e.sum, 0) FROM wallet w
LEFT JOIN (SELECT account_id, sum(amount_nano) FROM ledger_entry GROUP BY 1) e USING (account_id)
WHERE w.posted_nano <> coalesce(e.sum, 0);

-- I-ZERO: every event of the journal sums to zero, in positive amounts between two accounts of one ledger
SELECT txn_id, sum(amount_nano) FROM ledger_entry GROUP BY txn_id, ledger HAVING sum(amount_nano) <> 0
UNION ALL
SELECT txn_id, amount_nano FROM ledger_transfer WHERE amount_nano <= 0 OR debit_account = credit_account
UNION ALL
SELECT t.txn_id, t.amount_nano FROM ledger_transfer t
JOIN ledger_account a ON a.id IN (t.debit_account, t.credit_account) AND a.ledger <> t.ledger;

-- I-ONCE: one settlement a request, never beside a hold; each leg posted once
SELECT request_id, 'twice' FROM settlement GROUP BY 1 HAVING count(*) > 1
UNION ALL SELECT request_id, 'held and settled' FROM hold JOIN settlement USING (request_id)
UNION ALL SELECT ref_id::uuid, 'posted twice' FROM ledger_transfer WHERE ref_type IN (1, 2)
    GROUP BY ref_type, ref_id, leg HAVING count(*) > 1;

-- I-RESOLVE: no hold outlives its expiry; no usage without a settlement
SELECT request_id, expires_at FROM hold
WHERE expires_at < clock_timestamp() - make_interval(secs => %(overdue_s)s)
UNION ALL SELECT e.request_id, e.created_at FROM usage_event e
WHERE NOT EXISTS (SELECT 1 FROM settlement s WHERE s.request_id = e.request_id);

-- I-SPLIT: captured and overage make the charge, within the hold; input and output make the cost
SELECT request_id, charge_nano, captured_nano, overage_nano, hold_nano FROM settlement
WHERE captured_nano + overage_nano <> charge_nano OR captured_nano > hold_nano
   OR captured_nano < 0 OR overage_nano < 0
UNION ALL
SELECT request_id, charge_nano, cost_nano, input_cost_nano, output_cost_nano FROM usage_event
WHERE input_cost_nano + output_cost_nano <> cost_nano OR input_cost_nano < 0
   OR output_cost_nano < 0;

-- I-JOURNAL: the journal has what was captured and written off, nothing for what was voided, and known accounts
WITH leg AS (
    SELECT ref_id::uuid AS request_id, coalesce(sum(amount_nano) FILTER (WHERE leg = 0), 0) AS captured,
           coalesce(sum(amount_nano) FILTER (WHERE leg = 1), 0) AS overage,
           count(*) FILTER (WHERE leg NOT IN (0, 1)) AS others
    FROM ledger_transfer WHERE ref_type = 1 GROUP BY 1)
SELECT request_id, s.captured_nano, l.captured FROM settlement s FULL JOIN leg l USING (request_id)
WHERE s.captured_nano IS DISTINCT FROM coalesce(l.captured, 0)
   OR s.overage_nano IS DISTINCT FROM coalesce(l.overage, 0) OR l.others > 0
   OR (s.outcome NOT IN (1, 4, 5) AND (s.charge_nano <> 0 OR l.request_id IS NOT NULL))
UNION ALL
SELECT txn_id, debit_account, credit_account FROM ledger_transfer t
WHERE NOT EXISTS (SELECT 1 FROM ledger_account WHERE id = t.debit_account)
   OR NOT EXISTS (SELECT 1 FROM ledger_account WHERE id = t.credit_account)
UNION ALL
SELECT txn_id, amount_nano, NULL FROM ledger_transfer t WHERE ref_type = 2 AND NOT EXISTS
    (SELECT 1 FROM settlement s WHERE s.request_id = t.txn_id AND s.outcome = 3);

-- I-EVENT: each settlement has its usage event, with the same amounts
SELECT request_id, s.charge_nano, e.charge_nano FROM settlement s
FULL JOIN usage_event e USING (request_id)
WHERE s.request_id IS NULL OR e.request_id IS NULL OR s.charge_nano <> e.charge_nano
   OR s.captured_nano <> e.cost_nano OR s.outcome <> e.outcome;

-- I-SUBSET: quantities are not negative, and the totals are their sums
SELECT request_id, input_tokens, output_tokens FROM usage_event
WHERE input_tokens <> input + cache_read + cache_write + cache_write_1h + input_audio + input_image OR output_tokens <> output + reasoning + output_audio + output_image
   OR least(input, cache_read, cache_write, cache_write_1h, input_audio, input_image, output, reasoning, output_audio, output_image, requests, web_searches, images, characters) < 0;

-- I-MONO: versions and journal ids only grow
SELECT w.organization_id, w.version FROM wallet w
WHERE w.version < (SELECT count(DISTINCT ref_id) FROM ledger_transfer t
                   WHERE t.organization_id = w.organization_id AND ref_type = 3)
   OR (w.version = 0 AND EXISTS (SELECT 1 FROM settlement s WHERE s.organization_id = w.organization_id))
UNION ALL
SELECT max(id), NULL FROM ledger_transfer
HAVING max(id) > (SELECT last_value FROM pg_sequences WHERE schemaname = 'public'
                  AND sequencename = 'ledger_transfer_id_seq');

-- I-TENANT: all rows of a request belong to one organization, and each organization has its wallet
SELECT e.request_id, e.organization_id FROM usage_event e JOIN settlement s USING (request_id)
WHERE e.organization_id <> s.organization_id
UNION ALL
SELECT e.request_id, e.organization_id FROM usage_event e JOIN api_key k ON k.id = e.key_id
WHERE e.organization_id <> k.organization_id
UNION ALL
SELECT h.request_id, h.organization_id FROM hold h JOIN api_key k ON k.id = h.key_id
WHERE h.organization_id <> k.organization_id
UNION ALL
SELECT t.txn_id, t.organization_id FROM ledger_transfer t
JOIN ledger_account a ON a.id IN (t.debit_account, t.credit_account)
WHERE a.organization_id <> t.organization_id
UNION ALL
SELECT t.txn_id, t.organization_id FROM ledger_transfer t
JOIN settlement s ON s.request_id::text = t.ref_id
WHERE t.ref_type IN (1, 2) AND s.organization_id <> t.organization_id
UNION ALL
SELECT NULL, o.id FROM organization o LEFT JOIN wallet w ON w.organization_id = o.id
LEFT JOIN ledger_account a ON a.id = w.account_id
WHERE w.organization_id IS NULL OR a.organization_id IS DISTINCT FROM o.id;

-- I-NOFREE: nothing that has a price was answered for nothing
SELECT e.request_id, e.model FROM usage_event e
JOIN price_component c ON c.price_version_id = e.price_version_id AND c.sell_price > 0
 AND ((c.unit = 'input' AND e.input > 0) OR (c.unit = 'output' AND e.output > 0)
   OR (c.unit = 'input_characters' AND e.characters > 0)
   OR (c.unit = 'image' AND e.images > 0 AND NOT EXISTS (
       SELECT 1 FROM price_component free WHERE free.price_version_id = c.price_version_id
         AND free.unit = 'image' AND free.sell_price = 0)))
WHERE e.status = 'ok' AND e.charge_nano = 0;

-- I-ROLLUP: the reports' sums are the sums of the events, and of what was captured late
WITH due AS (
    SELECT e.organization_id, usage_bucket_v1(e.request_id) AS bucket, e.key_id, e.model, e.provider, e.endpoint,
           count(*) AS requests, count(*) FILTER (WHERE usage_is_error_v1(e.status)) AS errors,
           sum(e.input_tokens + coalesce(l.input_tokens, 0)) AS input_tokens,
           sum(e.cache_read + coalesce(l.cache_read, 0)) AS cache_read_tokens,
           sum(e.cache_write + e.cache_write_1h + coalesce(l.cache_write, 0)) AS cache_write_tokens,
           sum(e.output_tokens + coalesce(l.output_tokens, 0)) AS output_tokens,
           sum(e.reasoning + coalesce(l.reasoning, 0)) AS reasoning_tokens,
           sum(e.images + coalesce(l.images, 0)) AS images,
           sum(e.characters + coalesce(l.characters, 0)) AS characters,
           sum(e.cost_nano + coalesce(t.amount_nano, 0)) AS cost_nano, sum(e.latency_ms) AS latency_ms_sum
    FROM usage_event e
    LEFT JOIN ledger_transfer t ON t.ref_type = 2 AND t.ref_id = e.request_id::text
    LEFT JOIN LATERAL usage_of_late_v2(t.meta) l ON t.meta IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6)
SELECT organization_id, bucket, d.cost_nano, r.cost_nano FROM due d
FULL JOIN usage_rollup r USING (organization_id, bucket, key_id, model, provider, endpoint)
WHERE (d.requests, d.errors, d.input_tokens, d.cache_read_tokens, d.cache_write_tokens, d.output_tokens,
       d.reasoning_tokens, d.images, d.characters, d.cost_nano, d.latency_ms_sum)
   IS DISTINCT FROM (r.requests, r.errors, r.input_tokens, r.cache_read_tokens, r.cache_write_tokens,
       r.output_tokens, r.reasoning_tokens, r.images, r.characters, r.cost_nano, r.latency_ms_sum);

-- I-APPEND: the triggers that refuse edits stand, enabled, on every table and partition
WITH kept AS (
    SELECT c.oid, c.relname FROM pg_class c
    WHERE c.oid IN ('settlement'::regclass, 'usage_event'::regclass, 'ledger_transfer'::regclass)
       OR c.oid IN (SELECT inhrelid FROM pg_inherits
                    WHERE inhparent IN ('settlement'::regclass, 'usage_event'::regclass)))
SELECT k.relname, n.name FROM kept k
CROSS JOIN (VALUES ('append_only_rows', 27), ('append_only_table', 34)) n(name, type)
WHERE NOT EXISTS (
    SELECT 1 FROM pg_trigger t WHERE t.tgrelid = k.oid AND t.tgname = n.name
      AND t.tgenabled IN ('O', 'A') AND t.tgtype = n.type
      AND t.tgfoid = 'append_only'::regproc);

-- I-PARTITION: this month's and the next month's partitions exist, and the default ones are empty
SELECT parent || to_char(month, '"_y"YYYY"m"MM') AS missing
FROM unnest(ARRAY['settlement', 'usage_event']) parent,
     generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                     date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month',
                     interval '1 month') month
WHERE NOT EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = parent::regclass
                  AND inhrelid = to_regclass(parent || to_char(month, '"_y"YYYY"m"MM')))
UNION ALL
SELECT 'no default partition of ' || partrelid::regclass FROM pg_partitioned_table
WHERE partrelid IN ('settlement'::regclass, 'usage_event'::regclass) AND partdefid = 0
UNION ALL
SELECT 'default partition has settlement ' || s.request_id FROM settlement s
JOIN pg_partitioned_table p ON p.partrelid = 'settlement'::regclass AND p.partdefid = s.tableoid
UNION ALL
SELECT 'default partition has usage_event ' || e.request_id FROM usage_event e
JOIN pg_partitioned_table p ON p.partrelid = 'usage_event'::regclass AND p.partdefid = e.tableoid;
