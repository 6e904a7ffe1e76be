-- Start work on jobs: check each claim, renew its lease from now on, and read the records.
-- A doubled or stale message finds another seq, or a live lease, and gets nothing.
-- KEYS: due
-- ARGV: now, lease, prefix of job keys, the states of the stage (',a,b,'), then id, seq ('' : whoever holds no lease may begin) …
-- Returns for each job begun: id, then its fields.
local now, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local reply = {}
for i = 5, #ARGV, 2 do
  local key = ARGV[3] .. ARGV[i]
  local held = redis.call('HMGET', key, 'seq', 'lease', 'state')
  local mine = held[1] == ARGV[i + 1] or (ARGV[i + 1] == '' and held[1] and tonumber(held[2]) <= now)
  local here = held[3] and string.find(ARGV[4], ',' .. held[3] .. ',', 1, true)
  if mine and here and redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('HINCRBY', key, 'seq', 1)
    redis.call('HSET', key, 'lease', string.format('%.0f', now + lease))
    redis.call('ZADD', KEYS[1], now + lease, ARGV[i])
    reply[#reply + 1] = {ARGV[i], redis.call('HGETALL', key)}
  end
end
return reply
