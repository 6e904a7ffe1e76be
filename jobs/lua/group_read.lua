-- Read a stream in the name of a consumer group: one reader at a time, so that the events of a job stay in order.
-- What was read and not acknowledged comes first, whoever had it.
-- KEYS: stream, lease
-- ARGV: group, reader, lease in ms, how many entries, where a new group begins (0 or $)
-- Returns 0 if somebody else reads, else a list of entries; one without fields is no longer kept.
local held = redis.call('GET', KEYS[2])
if held and held ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2]) -- a full Redis lets a script finish that begins with a write like this
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
if not held then
  local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[5], 'MKSTREAM')
  if type(made) == 'table' and made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
  local from, lost = '0-0', {}
  repeat
    local taken = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], 'settle', 0, from, 'COUNT', 1000, 'JUSTID')
    from = taken[1]
    for _, id in ipairs(taken[3] or {}) do lost[#lost + 1] = {id, false} end -- since Redis 7
  until from == '0-0'
  if #lost > 0 then return lost end
end
for _, place in ipairs({'0', '>'}) do
  local found = redis.call('XREADGROUP', 'GROUP', ARGV[1], 'settle', 'COUNT', ARGV[4], 'STREAMS', KEYS[1], place)
  if found and found[1] and #found[1][2] > 0 then return found[1][2] end
end
return {}
