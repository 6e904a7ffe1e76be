-- Dead deliveries wait for their turn again, behind what waits of the same job.
-- KEYS: due, state, dead, letters, reasons
-- ARGV: now, prefix of lines, then id of the delivery, job …
-- Returns how many there were.
local found = 0
for i = 3, #ARGV, 2 do
  local text = redis.call('HGET', KEYS[4], ARGV[i])
  if text then
    redis.call('ZREM', KEYS[3], ARGV[i])
    redis.call('HDEL', KEYS[4], ARGV[i])
    redis.call('HDEL', KEYS[5], ARGV[i])
    if redis.call('RPUSH', ARGV[2] .. ARGV[i + 1], text) == 1 then redis.call('ZADD', KEYS[1], ARGV[1], ARGV[i + 1]) end
    redis.call('HINCRBY', KEYS[2], 'waiting', 1)
    found = found + 1
  end
end
return found
