-- Give a slot back, and correct the tokens that were taken by those that were used.
--
-- KEYS: as in reserve.lua. ARGV: the lease's name; then two a subject: tpm (0: no limit), and the
-- tokens to add (below zero: to give back).
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

for i = 1, #KEYS / 2 do
  local tpm, change = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  redis.call('ZREM', KEYS[2 * i], ARGV[1])
  if tpm > 0 and change ~= 0 then
    local was = redis.call('HMGET', KEYS[2 * i - 1], 'r', 'rl', 't', 'tl', 'at')
    local minutes = math.max(0, now - tonumber(was[5] or now)) / 60000000
    local rpm = tonumber(was[2] or 0)
    local requests = math.max(0, tonumber(was[1] or 0) - rpm * minutes)
    local tokens = math.max(0, tonumber(was[3] or 0) - tonumber(was[4] or 0) * minutes)
    tokens = math.max(0, tokens + change)
    local full = math.max(rpm > 0 and requests / rpm or 0, tokens / tpm)
    redis.call('HSET', KEYS[2 * i - 1], 'r', requests, 'rl', rpm, 't', tokens, 'tl', tpm, 'at', now)
    redis.call('PEXPIRE', KEYS[2 * i - 1], math.ceil(full * 60000) + 1000)
  end
end
return 1
