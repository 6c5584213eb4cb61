-- Take a request, its tokens and a slot from every subject, or nothing from any.
--
-- KEYS: two a subject: its meters (a hash), its slots (a sorted set of leases by expiry).
-- ARGV: the lease's name, its milliseconds; then four a subject: rpm, tpm, concurrent (0: no
--       limit), and the tokens wanted.
-- Answers: the subject that refuses (from 1; 0: admitted), its limit (1 rpm, 2 tpm, 3 concurrent),
--       milliseconds until it would admit; then three a subject: requests and tokens in its
--       meters, in thousandths, and slots taken.
--
-- A meter is GCRA as the leaky bucket that it is equal to: what was taken runs out at the limit a
-- minute, and one more fits while the bucket is not above the limit. A minute's worth may come at
-- once. The clock is the server's. Nothing is written unless all admit.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local now_ms = math.floor(now / 1000)
local subjects = #KEYS / 2
local refused, limit_refusing, wait_ms = 0, 0, -1
local found, uses = {}, {}

local function refuse(subject, limit, ms)
  if ms > wait_ms then
    refused, limit_refusing, wait_ms = subject, limit, ms
  end
end

-- What is left in a meter. One that was written under a higher limit shrinks with it.
local function left(used, limit_then, limit, minutes)
  used = tonumber(used or 0)
  limit_then = tonumber(limit_then or 0)
  if limit_then > limit then
    used = used * limit / limit_then
  end
  return math.max(0, used - limit * minutes)
end

for i = 1, subjects do
  local rpm, tpm = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local concurrent, wanted = tonumber(ARGV[4 * i + 1]), tonumber(ARGV[4 * i + 2])
  local requests, tokens, slots = 0, 0, 0
  if rpm > 0 or tpm > 0 then
    local was = redis.call('HMGET', KEYS[2 * i - 1], 'r', 'rl', 't', 'tl', 'at')
    local minutes = math.max(0, now - tonumber(was[5] or now)) / 60000000
    if rpm > 0 then
      requests = left(was[1], was[2], rpm, minutes)
      if requests + 1 > rpm + 0.000001 then
        refuse(i, 1, (requests + 1 - rpm) / rpm * 60000)
      end
    end
    if tpm > 0 then
      tokens = left(was[3], was[4], tpm, minutes)
      if tokens + wanted > tpm + 0.000001 then
        refuse(i, 2, (tokens + wanted - tpm) / tpm * 60000)
      end
    end
  end
  if concurrent > 0 then
    slots = redis.call('ZCOUNT', KEYS[2 * i], now_ms, '+inf')
    if slots >= concurrent then
      refuse(i, 3, 0)
    end
  end
  found[i] = {rpm, tpm, concurrent, wanted, requests, tokens, slots}
end

for i = 1, subjects do
  local rpm, tpm, concurrent, wanted, requests, tokens, slots = unpack(found[i])
  if refused == 0 then
    if rpm > 0 or tpm > 0 then
      requests = rpm > 0 and requests + 1 or 0
      tokens = tpm > 0 and tokens + wanted or 0
      local full = math.max(rpm > 0 and requests / rpm or 0, tpm > 0 and tokens / tpm or 0)
      redis.call('HSET', KEYS[2 * i - 1], 'r', requests, 'rl', rpm, 't', tokens, 'tl', tpm, 'at', now)
      redis.call('PEXPIRE', KEYS[2 * i - 1], math.ceil(full * 60000) + 1000)
    end
    if concurrent > 0 then
      redis.call('ZREMRANGEBYSCORE', KEYS[2 * i], '-inf', '(' .. string.format('%.0f', now_ms))
      redis.call('ZADD', KEYS[2 * i], now_ms + ARGV[2], ARGV[1])
      redis.call('PEXPIRE', KEYS[2 * i], ARGV[2])
      slots = slots + 1
    end
  end
  uses[3 * i - 2] = math.ceil(requests * 1000 - 0.001)
  uses[3 * i - 1] = math.ceil(tokens * 1000 - 0.001)
  uses[3 * i] = slots
end
return {refused, limit_refusing, math.ceil(wait_ms), unpack(uses)}
