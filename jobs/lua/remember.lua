-- Leave a note that concerns a finished job, unless there is one; it is forgotten some time after that job.
-- KEYS: notes, done, lives of notes
-- ARGV: name, value, job, now, how much longer than the job it is kept
-- Returns the note in force.
local now = tonumber(ARGV[4])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], old)
  redis.call('ZREM', KEYS[3], old)
end
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
-- The job's own end, not the retention that is configured now: it may have been finished under another one.
local ends = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[3]) or now)
redis.call('ZADD', KEYS[3], 'GT', string.format('%.0f', math.max(ends, now) + ARGV[5]), ARGV[1])
return redis.call('HGET', KEYS[1], ARGV[1])
