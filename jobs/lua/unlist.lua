-- In front of the scripts that forget jobs: take a finished job out of the sets of its state and its tags.
local function unlist(index, id)
  for _, state in ipairs({'succeeded', 'failed', 'expired', 'cancelled'}) do
    redis.call('ZREM', index .. ':state:' .. state, id)
  end
  local tags = redis.call('HGET', index .. ':tagged', id)
  if tags then
    for _, tag in ipairs(cjson.decode(tags)) do redis.call('ZREM', index .. ':tag:' .. tag, id) end
    redis.call('HDEL', index .. ':tagged', id)
  end
end
