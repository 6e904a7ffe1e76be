-- Close a provider's gate for a while: as long as it asked for, else longer with every failure in a row.
-- KEYS: gate
-- ARGV: now, asked for ('' if it did not say), shortest pause, longest pause
-- Returns the time until which the gate is closed.
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local now = tonumber(ARGV[1])
local pause = tonumber(ARGV[2]) or math.min(tonumber(ARGV[3]) * 2 ^ math.min(failures - 1, 20), tonumber(ARGV[4]))
local until_ = math.max(now + pause, tonumber(redis.call('HGET', KEYS[1], 'paused_until') or '0'))
redis.call('HSET', KEYS[1], 'paused_until', string.format('%.0f', until_))
return string.format('%.0f', until_)
