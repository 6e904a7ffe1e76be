-- Start work on jobs: check each claim, hold the job for a lease from now on, and read the records.
-- Every claim since the last move or beginning (`floor`) is as good as the latest: in a backlog the first message that
-- arrives begins, however often the clock has published another one meanwhile. All others then find a higher floor.
-- KEYS: due
-- ARGV: now, lease, prefix of job keys, the states of the stage (',a,b,'), then id, seq ('' : if nobody holds it) …
-- Returns for each job begun: id, then its fields.
local now, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local reply = {}
for i = 5, #ARGV, 2 do
  local key = ARGV[3] .. ARGV[i]
  local held = redis.call('HMGET', key, 'seq', 'lease', 'state', 'floor')
  local seq, claim, mine = tonumber(held[1]), tonumber(ARGV[i + 1]), false
  if seq and claim then
    mine = claim <= seq and claim > tonumber(held[4])
  elseif seq then
    mine = tonumber(held[2]) <= now
  end
  local here = held[3] and string.find(ARGV[4], ',' .. held[3] .. ',', 1, true)
  if mine and here and redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('HSET', key, 'seq', seq + 1, 'floor', seq + 1, 'lease', string.format('%.0f', now + lease))
    redis.call('ZADD', KEYS[1], now + lease, ARGV[i])
    reply[#reply + 1] = {ARGV[i], redis.call('HGETALL', key)}
  end
end
return reply
