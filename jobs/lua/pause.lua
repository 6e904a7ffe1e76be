-- Close a provider's gate for a while: as long as it asked for, else longer with every failure in a row. What fails while
-- the gate is closed was sent before: one outage counts once, however many bundles were under way.
-- KEYS: gate
-- ARGV: now, asked for ('' if it did not say), shortest pause, longest pause
-- Returns the time until which the gate is closed.
local now = tonumber(ARGV[1])
local closed = tonumber(redis.call('HGET', KEYS[1], 'paused_until') or '0')
local failures = redis.call('HINCRBY', KEYS[1], 'failures', closed > now and 0 or 1)
local pause = tonumber(ARGV[2]) or math.min(tonumber(ARGV[3]) * 2 ^ math.max(math.min(failures - 1, 20), 0), tonumber(ARGV[4]))
local until_ = math.max(now + pause, closed)
redis.call('HSET', KEYS[1], 'paused_until', string.format('%.0f', until_))
redis.call('HDEL', KEYS[1], 'probe')
return string.format('%.0f', until_)
