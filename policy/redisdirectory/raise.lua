-- Gives an organization a higher revision and new stamps, and changes nothing else. The event says so.
-- KEYS 1 organization 2 outbox. ARGV 1 stamp expected 2 new stamp 3 revision 4 new policy stamp 5 event.
if redis.call('HGET', KEYS[1], 'st') ~= ARGV[1] then return 'CONFLICT' end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[5])
redis.call('HSET', KEYS[1], 'st', ARGV[2], 'rev', ARGV[3], 'ps', ARGV[4])
return 'OK'
