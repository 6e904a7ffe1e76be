-- The provider answers again: close the breaker. What succeeds while the gate is closed was sent before, and proves
-- nothing.
-- KEYS: gate
-- ARGV: now
if tonumber(redis.call('HGET', KEYS[1], 'paused_until') or '0') > tonumber(ARGV[1]) then return 0 end
return redis.call('HDEL', KEYS[1], 'failures', 'probe')
