-- Acknowledge an entry that was handled, and go on or stop.
-- KEYS: stream, lease
-- ARGV: group, reader, lease in ms ('' to give it back), the entry ('' for none)
-- Returns 1 if this reader may go on.
if ARGV[4] ~= '' then redis.call('XACK', KEYS[1], ARGV[1], ARGV[4]) end
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[2])
  return 0
end
return redis.call('PEXPIRE', KEYS[2], ARGV[3])
