-- Hand out the next times at which one request each may be sent, so that no second sees more than the rate.
-- There are as many tokens as the rate has whole requests. A request holds its token until a second after its arrival is
-- certain: when the answer begins, or, if that takes longer, when its allowance is over. The allowance is what can be
-- spared without falling below the rate's share: it grows with answers that come quickly.
-- KEYS: gate, sends (token by when it is free), queue (what each holder still waits for)
-- ARGV: now, rate, holder, wanted, guard, sure allowance, most that can be spared for each, how far ahead,
--       queue's lifetime, then token, arrival of each request that is over …
-- Returns: milliseconds until more can be had, 1 if the gate is closed, then token, time, end of allowance of each.
local now, rate, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local guard, sure, most, ahead = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local many = math.max(1, math.floor(rate))
local rest = guard + math.max(1000, 1000 / rate)
local gap = 900 / rate -- a little less than even: what was missed can be caught up with, but not in one burst
local full = many * most

local gate = redis.call('HMGET', KEYS[1], 'paused_until', 'sent_at', 'spare')
local sent_at = tonumber(gate[2] or '0')
local spare = tonumber(gate[3] or full)
-- What lies farther ahead than was ever handed out was written before the clock was set back.
if sent_at > now + ahead + 1000 then sent_at = now end
redis.call('ZREMRANGEBYSCORE', KEYS[2], string.format('(%.3f', now + ahead + rest + sure + most + 1000), '+inf')

for i = 10, #ARGV, 2 do
  local free, early = redis.call('ZSCORE', KEYS[2], ARGV[i]), ARGV[i + 1] + rest
  if free and early < tonumber(free) then
    spare = math.min(full, spare + (free - early))
    redis.call('ZADD', KEYS[2], string.format('%.3f', early), ARGV[i])
  end
end

local paused = tonumber(gate[1] or '0')
if paused > now then
  redis.call('HDEL', KEYS[3], ARGV[3])
  redis.call('HSET', KEYS[1], 'spare', string.format('%.3f', spare))
  return {tostring(paused - now), 1}
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local held = redis.call('ZCARD', KEYS[2])
local reply = {'0', 0}
for i = 1, wanted do
  local at = math.max(now, sent_at + gap)
  local oldest = held >= many and redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES') or nil
  if oldest then at = math.max(at, tonumber(oldest[2])) end
  if at > now + ahead then
    reply[1] = string.format('%.3f', at - now - ahead)
    break
  end
  if oldest then redis.call('ZREM', KEYS[2], oldest[1]) else held = held + 1 end
  local allowed = sure + math.max(0, math.min(most, spare / many))
  spare = spare - (allowed - sure)
  at = tonumber(string.format('%.3f', at))
  local token = ARGV[3] .. '|' .. string.format('%.3f', at)
  redis.call('ZADD', KEYS[2], string.format('%.3f', at + rest + allowed), token)
  sent_at = at
  reply[#reply + 1] = token
  reply[#reply + 1] = string.format('%.3f', at)
  reply[#reply + 1] = string.format('%.3f', at + allowed)
end

local left = wanted - (#reply - 2) / 3
if left > 0 then
  redis.call('HSET', KEYS[3], ARGV[3], string.format('%.0f|%d', now + ARGV[9], left))
else
  redis.call('HDEL', KEYS[3], ARGV[3])
end
redis.call('HSET', KEYS[1], 'sent_at', string.format('%.3f', sent_at), 'spare', string.format('%.3f', spare))
return reply
