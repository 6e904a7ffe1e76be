-- Bring the next look at jobs forward, because their provider says that there is news. Nothing but the wake-up time
-- changes, and a poll still decides. However many calls come, one extra look comes of them in `spacing`; the last call is
-- never left without a look after it.
-- A poll that is under way may have asked too early: the move that ends it takes its wake-up time from `again`.
-- KEYS: due
-- ARGV: now, spacing, prefix of job keys, id …
-- Returns how many looks were brought forward.
local now, hastened = tonumber(ARGV[1]), 0
for i = 4, #ARGV do
  local id = ARGV[i]
  local key = ARGV[3] .. id
  local due = redis.call('ZSCORE', KEYS[1], id)
  local held = redis.call('HMGET', key, 'state', 'wish', 'lease', 'seq', 'floor', 'hastened', 'again')
  -- A job that somebody paused stays so; one that was claimed is about to be looked at.
  if due and tonumber(due) > now and held[1] == 'polling' and not held[2] and held[4] == held[5] then
    local look = held[6] and math.max(now, held[6] + ARGV[2]) or now
    local at = string.format('%.0f', look)
    if tonumber(held[3]) > now then
      if not held[7] then
        redis.call('HSET', key, 'hastened', at, 'again', at)
        hastened = hastened + 1
      end
    elseif look < tonumber(due) then
      redis.call('ZADD', KEYS[1], at, id)
      redis.call('HSET', key, 'hastened', at)
      hastened = hastened + 1
    end
  end
end
return hastened
