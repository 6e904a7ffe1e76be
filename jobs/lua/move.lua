-- Write moves of one provider: of each move record, wake-up time, event and announcement change together or not at all.
-- KEYS: due, events, counts, done, index
-- ARGV: now, retention, events kept, prefix of job keys, then for each move: how many arguments follow, then
--       id, expected state, expected seq, new state, due ('' if finished), lease, event ('' if no news), key of the
--       announcement ('' if none), announcement, its ttl, number of fields to drop, field …, then field, value …
-- Returns for each move 1, or 0 if somebody else moved the job in between.
local now, retention = ARGV[1], ARGV[2]
local written = {}
-- A key of the wrong type is an error before the first write: Redis takes back nothing of a script that breaks off.
for _, place in ipairs({1, 4}) do redis.call('ZSCORE', KEYS[place], '') end
local first = 5
while first <= #ARGV do
  local last = first + ARGV[first]
  local id, from, to, due, event, told = ARGV[first + 1], ARGV[first + 2], ARGV[first + 4], ARGV[first + 5],
    ARGV[first + 7], ARGV[first + 8]
  local key = ARGV[4] .. id
  local held = redis.call('HMGET', key, 'state', 'seq', 'again')
  if held[1] ~= from or held[2] ~= ARGV[first + 3] then
    written[#written + 1] = 0
  else
    if event ~= '' then redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1) end
    if from ~= to then
      redis.call('HGET', KEYS[3], to)
      for _, part in ipairs({'', ':state:' .. from, ':state:' .. to}) do redis.call('ZSCORE', KEYS[5] .. part, id) end
    end
    local seq = tostring(held[2] + 1)
    local fields = first + 12 + ARGV[first + 11]
    if fields > first + 12 then redis.call('HDEL', key, unpack(ARGV, first + 12, fields - 1)) end
    redis.call('HSET', key, 'state', to, 'seq', seq, 'floor', seq, 'lease', ARGV[first + 6], unpack(ARGV, fields, last))
    if held[3] then -- there was news while it was in hand (hasten.lua): the next look does not wait for its countdown
      redis.call('HDEL', key, 'again')
      if from == 'polling' and to == 'polling' and redis.call('HEXISTS', key, 'wish') == 0 then
        due = string.format('%.0f', math.min(due, math.max(now, held[3])))
      end
    end
    if due ~= '' then
      redis.call('ZADD', KEYS[1], due, id)
      if redis.call('ZREM', KEYS[4], id) == 1 then redis.call('PERSIST', key) end -- reopened by a person
    else
      redis.call('ZREM', KEYS[1], id)
      redis.call('ZADD', KEYS[4], now + retention, id)
      redis.call('PEXPIRE', key, retention)
    end
    if from ~= to then
      redis.call('HINCRBY', KEYS[3], from, -1)
      redis.call('HINCRBY', KEYS[3], to, 1)
      redis.call('ZREM', KEYS[5] .. ':state:' .. from, id)
      redis.call('ZADD', KEYS[5] .. ':state:' .. to, redis.call('ZSCORE', KEYS[5], id) or now, id)
    end
    if event ~= '' then
      redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*',
        'job', id, 'seq', seq, 'from', from, 'to', to, 'at', now, 'data', event)
    end
    if told ~= '' then
      redis.call('SET', told, ARGV[first + 9], 'EX', ARGV[first + 10])
      redis.call('PUBLISH', told, ARGV[first + 9])
    end
    written[#written + 1] = 1
  end
  first = last + 1
end
return written
