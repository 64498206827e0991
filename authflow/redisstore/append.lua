-- Events that belong to no flow, in one commit. KEYS 1 outbox. ARGV 1 how many, then the events.
local id
for i = 1, tonumber(ARGV[1]) do id = redis.call('XADD', KEYS[1], '*', 'e', ARGV[1 + i]) end
return id
