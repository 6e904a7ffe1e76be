-- Take messages from a queue and book them, in one step: a message is in the queue or in the book, never nowhere.
-- KEYS: queue, book (hash), leases (sorted set), counter
-- ARGV: now, lease, at most so many
-- Returns token and message of each one taken; those whose holder's lease is over come first.
local now, lease, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local reply = {}
for _, token in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, limit)) do
  local message = redis.call('HGET', KEYS[2], token)
  if message then
    redis.call('ZADD', KEYS[3], now + lease, token)
    reply[#reply + 1] = token
    reply[#reply + 1] = message
  else
    redis.call('ZREM', KEYS[3], token)
  end
end
while #reply < 2 * limit do
  local message = redis.call('RPOP', KEYS[1])
  if not message then break end
  local token = tostring(redis.call('INCR', KEYS[4]))
  redis.call('HSET', KEYS[2], token, message)
  redis.call('ZADD', KEYS[3], now + lease, token)
  reply[#reply + 1] = token
  reply[#reply + 1] = message
end
return reply
