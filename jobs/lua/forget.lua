-- Remove a note if it still has this value.
-- KEYS: notes
-- ARGV: name, value
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
