-- Record a new job, once.
-- KEYS: job, due, index, events, counts, done, announcement
-- ARGV: id, digest, state, created, due ('' if finished), retention, event, events kept, announcement, its ttl,
--       tags (a JSON list; '' for none), field, value …
-- Behind unlist.lua.
-- Returns 'created', 'same' (this request is already a job) or 'conflict' (the id belongs to another request).
local held = redis.call('HGET', KEYS[1], 'digest')
if held then
  if held == ARGV[2] then return 'same' end
  return 'conflict'
end
-- A key of the wrong type is an error before the first write: Redis takes back nothing of a script that breaks off, and
-- the next time half a job would be taken for a whole one.
local tags = ARGV[11] ~= '' and cjson.decode(ARGV[11]) or {}
redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)
redis.call('HGET', KEYS[5], ARGV[3])
redis.call('HGET', KEYS[3] .. ':tagged', ARGV[1])
for _, key in ipairs({KEYS[2], KEYS[3], KEYS[6], KEYS[3] .. ':state:' .. ARGV[3]}) do redis.call('ZSCORE', key, ARGV[1]) end
for _, tag in ipairs(tags) do redis.call('ZSCORE', KEYS[3] .. ':tag:' .. tag, ARGV[1]) end
local fields = {'digest', ARGV[2], 'state', ARGV[3], 'seq', '1', 'floor', '1', 'lease', '0'}
for i = 12, #ARGV do fields[#fields + 1] = ARGV[i] end
redis.call('HSET', KEYS[1], unpack(fields))
if redis.call('ZSCORE', KEYS[6], ARGV[1]) then unlist(KEYS[3], ARGV[1]) end -- of a forgotten job with the same id
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[3] .. ':state:' .. ARGV[3], ARGV[4], ARGV[1])
if ARGV[11] ~= '' then
  for _, tag in ipairs(tags) do redis.call('ZADD', KEYS[3] .. ':tag:' .. tag, ARGV[4], ARGV[1]) end
  redis.call('HSET', KEYS[3] .. ':tagged', ARGV[1], ARGV[11])
end
redis.call('HINCRBY', KEYS[5], ARGV[3], 1)
if ARGV[5] ~= '' then
  redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
  redis.call('ZREM', KEYS[6], ARGV[1])
else
  redis.call('ZADD', KEYS[6], ARGV[4] + ARGV[6], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*',
  'job', ARGV[1], 'seq', '1', 'from', '', 'to', ARGV[3], 'at', ARGV[4], 'data', ARGV[7])
if ARGV[9] ~= '' then
  redis.call('SET', KEYS[7], ARGV[9], 'EX', ARGV[10])
  redis.call('PUBLISH', KEYS[7], ARGV[9])
end
return 'created'
