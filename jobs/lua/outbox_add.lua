-- Put events into the outbox of a target, and remember how far the stream was read: both or neither, and each once.
-- KEYS: at, due, state
-- ARGV: provider, now, prefix of lines, the place of the last entry that was read, then place, job, event …
-- Returns how many were added.
local function after(a, b)
  local am, an = string.match(a, '(%d+)-(%d+)')
  local bm, bn = string.match(b, '(%d+)-(%d+)')
  am, an, bm, bn = tonumber(am), tonumber(an), tonumber(bm), tonumber(bn)
  return am > bm or (am == bm and an > bn)
end
local at = redis.call('HGET', KEYS[1], ARGV[1]) or '0-0'
if not after(ARGV[4], at) then return 0 end
local added = 0
for i = 5, #ARGV, 3 do
  if after(ARGV[i], at) then
    if redis.call('RPUSH', ARGV[3] .. ARGV[i + 1], ARGV[i + 2]) == 1 then
      redis.call('ZADD', KEYS[2], ARGV[2], ARGV[i + 1])
    end
    added = added + 1
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
if added > 0 then redis.call('HINCRBY', KEYS[3], 'waiting', added) end
return added
