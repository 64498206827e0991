-- Replaces a key's record without an event: the record of events has it already. KEYS 1 keys   2 sealed secret
-- ARGV 1 id   2 record as read   3 record as it will be. Answers 'OK' or 'CONFLICT'.
local call = redis.call
if call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'CONFLICT' end
call('HSET', KEYS[1], ARGV[1], ARGV[3])
call('DEL', KEYS[2])
return 'OK'
