-- Write one move: record, wake-up time, event and announcement change together or not at all.
-- KEYS: job, due, events, counts, done, announcement; index if the state changes
-- ARGV: id, expected state, expected seq, new state, now, due ('' if finished), retention, event ('' if no news),
--       events kept, announcement, its ttl, lease, number of fields to drop, field …, then field, value …
-- Returns 1, or 0 if somebody else moved the job in between.
local held = redis.call('HMGET', KEYS[1], 'state', 'seq')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return 0 end
local seq = tostring(ARGV[3] + 1)
local drops = tonumber(ARGV[13])
if drops > 0 then
  local names = {}
  for i = 14, 13 + drops do names[#names + 1] = ARGV[i] end
  redis.call('HDEL', KEYS[1], unpack(names))
end
local fields = {'state', ARGV[4], 'seq', seq, 'floor', seq, 'lease', ARGV[12]}
for i = 14 + drops, #ARGV do fields[#fields + 1] = ARGV[i] end
redis.call('HSET', KEYS[1], unpack(fields))
if ARGV[6] ~= '' then
  redis.call('ZADD', KEYS[2], ARGV[6], ARGV[1])
  if redis.call('ZREM', KEYS[5], ARGV[1]) == 1 then redis.call('PERSIST', KEYS[1]) end -- reopened by a person
else
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZADD', KEYS[5], ARGV[5] + ARGV[7], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
if ARGV[2] ~= ARGV[4] then
  redis.call('HINCRBY', KEYS[4], ARGV[2], -1)
  redis.call('HINCRBY', KEYS[4], ARGV[4], 1)
  redis.call('ZREM', KEYS[7] .. ':state:' .. ARGV[2], ARGV[1])
  redis.call('ZADD', KEYS[7] .. ':state:' .. ARGV[4], redis.call('ZSCORE', KEYS[7], ARGV[1]) or ARGV[5], ARGV[1])
end
if ARGV[8] ~= '' then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[9], '*',
    'job', ARGV[1], 'seq', seq, 'from', ARGV[2], 'to', ARGV[4], 'at', ARGV[5], 'data', ARGV[8])
end
if ARGV[10] ~= '' then
  redis.call('SET', KEYS[6], ARGV[10], 'EX', ARGV[11])
  redis.call('PUBLISH', KEYS[6], ARGV[10])
end
return 1
