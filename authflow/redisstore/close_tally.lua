-- Writes the event of a closed hour and removes its counters, if they still are as read.
-- KEYS 1 tally   2 index   3 outbox      ARGV 1 member   2 event   3 number of counters, then field and value of each
local call = redis.call
local n = tonumber(ARGV[3])
if call('HLEN', KEYS[1]) ~= n + 1 + call('HEXISTS', KEYS[1], '@stamp') then return 'CONFLICT' end
for i = 1, n do
  if call('HGET', KEYS[1], ARGV[2 + 2 * i]) ~= ARGV[3 + 2 * i] then return 'CONFLICT' end
end
call('ZSCORE', KEYS[2], ARGV[1])
call('XADD', KEYS[3], '*', 'e', ARGV[2])
call('DEL', KEYS[1])
call('ZREM', KEYS[2], ARGV[1])
return 'OK'
