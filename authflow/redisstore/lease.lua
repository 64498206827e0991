-- Takes or renews a hint. KEYS 1 lease. ARGV 1 holder, 2 ms. Answers 1 when the holder has it. A lease that has more than half
-- of its time left is not written again.
local have = redis.call('GET', KEYS[1])
if have and have ~= ARGV[1] then return 0 end
if have and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) / 2 then return 1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
