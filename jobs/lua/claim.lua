-- Take what is due, at most one bundle and at most what the gate lets through, and push each wake-up time forward by
-- the lease. Whoever dies with the claim only delays the job until then.
-- After a pause the gate is half open: one job is the probe, and until its outcome is known (pause, unpause), or its lease
-- is over, nothing else is taken. A job that calls nobody is no probe.
-- The rate is kept by the requests themselves (slots.lua). Here it only keeps the hands from filling with jobs that wait
-- for their turn: a tenth more than the rate is taken, and nothing while a fifth of a second's worth is waiting.
-- Behind unlist.lua.
-- KEYS: due, gate, bundles, index, done, counts, queue
-- ARGV: now, lease, bundle id, bundle size, bundles outstanding, requests per second (0: no limit),
--       requests in flight (0: no limit), prefix of job keys
-- Returns the milliseconds until the next look (-1: nothing waits), then id, seq, state of each claim and when it was due.
local now, lease, size = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local rate, in_flight = tonumber(ARGV[6]), tonumber(ARGV[7])

-- Forget finished jobs past their retention: a few at a time, but no fewer than one claim can finish.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, math.max(20, size))) do
  redis.call('ZREM', KEYS[5], id)
  redis.call('ZREM', KEYS[4], id)
  unlist(KEYS[4], id)
end

local gate = redis.call('HMGET', KEYS[2], 'paused_until', 'tokens', 'tokens_at', 'failures', 'probe')
local paused = tonumber(gate[1] or '0')
if paused > now then return {paused - now} end
local half_open = tonumber(gate[4] or '0') > 0
if half_open then
  local probe = tonumber(gate[5] or '0')
  if probe > now then return {probe - now} end
  size = 1
end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
local open = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
if #open / 2 >= tonumber(ARGV[5]) then return {math.min(10, open[2] - now)} end
if in_flight > 0 then
  local flying = 0
  for i = 1, #open, 2 do flying = flying + tonumber(string.match(open[i], '|(%d+)$')) end
  if flying >= in_flight then return {math.min(10, open[2] - now)} end
  size = math.min(size, in_flight - flying)
end

local tokens, burst
if rate > 0 then
  local waiting = 0
  local queue = redis.call('HGETALL', KEYS[7])
  for i = 1, #queue, 2 do
    local ends, left = string.match(queue[i + 1], '^(%d+)|(%d+)$')
    if tonumber(ends) > now then waiting = waiting + tonumber(left) else redis.call('HDEL', KEYS[7], queue[i]) end
  end
  if waiting >= math.max(1, rate / 5) then return {50} end
  burst = math.max(2, rate / 10)
  tokens = math.min(burst, tonumber(gate[2] or burst) + (now - tonumber(gate[3] or now)) * rate * 1.1 / 1000)
  if tokens < 1 then return {math.ceil((burst / 2 - tokens) * 1000 / (rate * 1.1))} end
  size = math.min(size, math.floor(tokens))
end

local reply = {0}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, size)
for i = 1, #due, 2 do
  local id = due[i]
  local key = ARGV[8] .. id
  local state = redis.pcall('HGET', key, 'state')
  if type(state) == 'table' then
    -- No record lies there. It costs this job alone: the others of its provider are taken.
    if not string.find(state.err, 'WRONGTYPE', 1, true) then return state end
    redis.call('ZADD', KEYS[1], now + lease, id)
    for _, part in ipairs({id, 0, 'damaged', due[i + 1]}) do reply[#reply + 1] = part end
  elseif state then
    local seq = redis.call('HINCRBY', key, 'seq', 1)
    redis.call('ZADD', KEYS[1], now + lease, id)
    reply[#reply + 1] = id
    reply[#reply + 1] = seq
    reply[#reply + 1] = state
    reply[#reply + 1] = due[i + 1]
    if half_open and state ~= 'verifying' and state ~= 'emitting' then
      -- A fetch closes its bundle as it begins, so its end does not tell.
      local prober = state ~= 'fetching' and ARGV[3] .. '|1' or ''
      redis.call('HSET', KEYS[2], 'probe', string.format('%.0f', now + lease), 'prober', prober)
    end
  else
    redis.call('ZREM', KEYS[1], id)
  end
end

local taken = (#reply - 1) / 4
if taken > 0 then
  redis.call('ZADD', KEYS[3], now + lease, ARGV[3] .. '|' .. string.format('%d', taken))
  if rate > 0 then
    redis.call('HSET', KEYS[2], 'tokens', string.format('%.17g', tokens - taken), 'tokens_at', string.format('%.0f', now))
  end
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
reply[1] = next[2] and math.max(0, next[2] - now) or -1
return reply
