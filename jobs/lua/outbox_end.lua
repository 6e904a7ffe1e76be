-- What became of a delivery.
-- KEYS: due, state, dead, letters, reasons
-- ARGV: now, prefix of lines, prefix of heads, job, token, result (sent, later, dead or gone), when it is due again,
--       until when the target wants to be left alone ('' for not), id of the delivery, the reason, dead ones until
-- Returns 1, or 0 if somebody else has taken the delivery in between.
local now, line, head, id = ARGV[1], ARGV[2] .. ARGV[4], ARGV[3] .. ARGV[4], ARGV[4]
if redis.call('HGET', head, 'token') ~= ARGV[5] then return 0 end
local result = ARGV[6]
if result == 'later' or result == 'gone' then
  redis.call('HDEL', head, 'token')
  redis.call('ZADD', KEYS[1], ARGV[7], id)
  if result == 'later' then redis.call('HINCRBY', head, 'tries', 1) end
  if result == 'gone' then redis.call('HSET', KEYS[2], 'disabled', now) end
else
  local text = redis.call('LPOP', line)
  redis.call('DEL', head)
  redis.call('HINCRBY', KEYS[2], 'waiting', -1)
  if result == 'dead' then
    redis.call('ZADD', KEYS[3], now, ARGV[9])
    redis.call('HSET', KEYS[4], ARGV[9], text)
    redis.call('HSET', KEYS[5], ARGV[9], ARGV[10])
    for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[11])) do
      redis.call('ZREM', KEYS[3], old)
      redis.call('HDEL', KEYS[4], old)
      redis.call('HDEL', KEYS[5], old)
    end
  end
  if redis.call('EXISTS', line) == 1 then
    redis.call('ZADD', KEYS[1], now, id)
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
redis.call('HINCRBY', KEYS[2], result == 'sent' and 'delivered' or 'failed', 1)
if ARGV[8] ~= '' then redis.call('HSET', KEYS[2], 'paused', ARGV[8]) end
return 1
