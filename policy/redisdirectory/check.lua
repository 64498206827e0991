-- Notes a look at a domain's zone that changed no state.
-- KEYS 1 challenge   2 what is to be looked at when
-- ARGV 1 challenge as it was read   2 as it will be   3 its member   4 when it is due, ms, '' never
-- Answers 'OK' or 'CONFLICT'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'CONFLICT' end
redis.call('ZCARD', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[2], ARGV[3])
else
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
end
return 'OK'
