-- Notes a use of a key that is there, and erases what a repeated call would have been answered with.
-- KEYS 1 keys   2 uses   3 sealed secret      ARGV 1 id   2 ms
local call = redis.call
if call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local have = call('HGET', KEYS[2], ARGV[1])
if not have or tonumber(have) < tonumber(ARGV[2]) then call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
call('DEL', KEYS[3])
return 1
