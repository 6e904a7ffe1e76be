-- Put jobs into the sets of their states and tags, and out of those where they are not.
-- KEYS: index
-- ARGV: prefix of job keys, all states (with a space between two), then id, tags (a JSON list; '' for none) …
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local state = redis.call('HGET', ARGV[1] .. id, 'state')
  local created = redis.call('ZSCORE', KEYS[1], id)
  for each in string.gmatch(ARGV[2], '%S+') do
    if each ~= state or not created then redis.call('ZREM', KEYS[1] .. ':state:' .. each, id) end
  end
  if state and created then
    redis.call('ZADD', KEYS[1] .. ':state:' .. state, created, id)
    if ARGV[i + 1] ~= '' then
      for _, tag in ipairs(cjson.decode(ARGV[i + 1])) do redis.call('ZADD', KEYS[1] .. ':tag:' .. tag, created, id) end
      redis.call('HSET', KEYS[1] .. ':tagged', id, ARGV[i + 1])
    end
  end
end
