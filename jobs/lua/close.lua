-- A bundle is no longer outstanding. If its job was the probe of a half-open gate, and its outcome is still not known, it
-- called nobody: the next one may be the probe.
-- KEYS: bundles, gate
-- ARGV: bundle
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('HGET', KEYS[2], 'prober') == ARGV[1] then redis.call('HDEL', KEYS[2], 'probe', 'prober') end
