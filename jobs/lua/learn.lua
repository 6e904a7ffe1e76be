-- Add counts to the histograms of how long jobs took. Old counts fade by being outweighed: each new one weighs a little
-- more than the one before, and readers divide by the latest weight.
-- KEYS: learnt
-- ARGV: growth of the weight, then for each count: workflow, number of bins, bin, share …
local growth, i = tonumber(ARGV[1]), 2
local function text(value) return string.format('%.17g', value) end
while i <= #ARGV do
  local workflow, bins = ARGV[i], tonumber(ARGV[i + 1])
  local weight = tonumber(redis.call('HGET', KEYS[1], workflow .. '|') or '1') * growth
  for j = i + 2, i + 2 * bins, 2 do
    local field = workflow .. '|' .. ARGV[j]
    local held = tonumber(redis.call('HGET', KEYS[1], field) or '0')
    redis.call('HSET', KEYS[1], field, text(held + weight * tonumber(ARGV[j + 1])))
  end
  if weight > 1e100 then
    local all = redis.call('HGETALL', KEYS[1])
    for j = 1, #all, 2 do
      if string.sub(all[j], 1, #workflow + 1) == workflow .. '|' then
        redis.call('HSET', KEYS[1], all[j], text(tonumber(all[j + 1]) / weight))
      end
    end
    weight = 1
  end
  redis.call('HSET', KEYS[1], workflow .. '|', text(weight))
  i = i + 2 + 2 * bins
end
