-- Hold a job for another lease, if its seq is still the holder's.
-- KEYS: job, due
-- ARGV: id, seq, now, lease
if redis.call('HGET', KEYS[1], 'seq') ~= ARGV[2] or not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'lease', string.format('%.0f', ARGV[3] + ARGV[4]))
redis.call('ZADD', KEYS[2], ARGV[3] + ARGV[4], ARGV[1])
return 1
