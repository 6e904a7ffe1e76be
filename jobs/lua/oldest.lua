-- When the oldest unfinished job of a provider was created. Jobs that are finished stay so, thus the search goes on from
-- where the last one ended, a bounded number at a time; whoever reopens a job removes the mark.
-- KEYS: index, due, mark
-- ARGV: at most so many jobs are looked at
-- Returns the time in milliseconds, 'none' if all are finished, or 'search' if the next call goes on.
if redis.call('ZCARD', KEYS[2]) == 0 then return 'none' end
local held = redis.call('GET', KEYS[3])
local start = held and redis.call('ZRANK', KEYS[1], held) or 0
local limit = start + tonumber(ARGV[1])
local mark
while start < limit do
  local jobs = redis.call('ZRANGE', KEYS[1], start, start + 499, 'WITHSCORES')
  if #jobs == 0 then break end
  for i = 1, #jobs, 2 do
    if redis.call('ZSCORE', KEYS[2], jobs[i]) then
      -- A full Redis refuses the note; what is told is right without it.
      if jobs[i] ~= held then redis.pcall('SET', KEYS[3], jobs[i]) end
      return jobs[i + 1]
    end
    mark = jobs[i]
  end
  start = start + 500
end
if mark and mark ~= held then redis.pcall('SET', KEYS[3], mark) end
return 'search'
