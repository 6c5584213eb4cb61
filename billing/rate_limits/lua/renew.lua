-- Keep leases alive: those that a flushed server has forgotten are placed anew.
--
-- KEYS: a sorted set of leases. ARGV: their milliseconds, then their names.
-- Answers: how many leases are alive.
local time = redis.call('TIME')
local now_ms = math.floor(time[1] * 1000 + time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now_ms))
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], now_ms + ARGV[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('ZCARD', KEYS[1])
