-- Takes an id from an organization, if it has it, and notes who did so.
-- KEYS 1 organizations by id   2 index of ids   3 note, when there is one
-- ARGV 1 id   2 uid   3 note   4 how long it is kept, ms
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
if KEYS[3] then redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4]) end
return 'OK'
