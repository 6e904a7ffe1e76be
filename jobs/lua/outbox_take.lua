-- Take the first event of each job whose turn it is, to deliver it.
-- KEYS: due, state
-- ARGV: now, lease in ms, how many, prefix of lines, prefix of heads, token
-- Returns for each job: its id, the event, how often it was tried.
local state = redis.call('HMGET', KEYS[2], 'disabled', 'paused')
if state[1] or (state[2] and tonumber(state[2]) > tonumber(ARGV[1])) then return {} end
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  local text = redis.call('LINDEX', ARGV[4] .. id, 0)
  redis.call('ZREM', KEYS[1], id) -- a full Redis lets a script finish that begins with a write like this
  redis.call('ZADD', KEYS[1], ARGV[1] + ARGV[2], id)
  redis.call('HSET', ARGV[5] .. id, 'token', ARGV[6])
  taken[#taken + 1] = id
  taken[#taken + 1] = text
  taken[#taken + 1] = redis.call('HGET', ARGV[5] .. id, 'tries') or '0'
end
return taken
