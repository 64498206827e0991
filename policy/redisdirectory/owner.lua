-- Says who has verified a domain.
-- KEYS 1 owner. ARGV 1 owner as it was read, '' none   2 as it will be, '' none. Answers 'OK' or 'CONFLICT'.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 'CONFLICT' end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2])
end
return 'OK'
