-- How many submissions the breaker of submissions lets through: all while it is closed, none while it is open, and one
-- probe, for the length of its lease, while it is half open.
-- KEYS: breaker
-- ARGV: now, wanted, lease
-- Returns how many, and the time until which the others wait.
local now, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
local breaker = redis.call('HMGET', KEYS[1], 'paused_until', 'failures', 'probe')
local opens = tonumber(breaker[1] or '0')
if opens > now then return {0, string.format('%.0f', opens)} end
if tonumber(breaker[2] or '0') == 0 then return {wanted, '0'} end
local probe = tonumber(breaker[3] or '0')
if probe > now then return {0, string.format('%.0f', probe)} end
probe = string.format('%.0f', now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'probe', probe)
return {1, probe}
