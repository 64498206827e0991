-- One change of an organization's keys with its event: everything is looked at first, then everything is written. The first write
-- is the one to the outbox, whose type it checks itself.
-- KEYS 1 keys   2 outbox   3 answer of the call   4 uses   5 sealed secret
-- ARGV 1 id, '' none   2 its record as read, '' if it must not exist   3 its record as it will be   4 event   5 answer
--      6 how long the answer is kept, ms   7 sealed secret, '' none   8 how long that is kept, ms   9 how many keys there may be
--      10 how many keys are forgotten, then their ids
-- Answers {'REPEATED', answer}, {'CONFLICT'}, {'FULL'} or {'OK'}.
local call = redis.call
local first = call('GET', KEYS[3])
if first then return {'REPEATED', first} end
call('HLEN', KEYS[4])
local forget = tonumber(ARGV[10])
if ARGV[1] ~= '' then
  if (call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return {'CONFLICT'} end
  if ARGV[2] == '' and call('HLEN', KEYS[1]) - forget >= tonumber(ARGV[9]) then return {'FULL'} end
end

-- From here on nothing fails.
call('XADD', KEYS[2], '*', 'e', ARGV[4])
for i = 1, forget do
  call('HDEL', KEYS[1], ARGV[10 + i])
  call('HDEL', KEYS[4], ARGV[10 + i])
end
if ARGV[1] ~= '' then
  call('HSET', KEYS[1], ARGV[1], ARGV[3])
  if ARGV[7] ~= '' then
    call('SET', KEYS[5], ARGV[7], 'PX', ARGV[8])
  else
    call('DEL', KEYS[5])
  end
end
call('SET', KEYS[3], ARGV[5], 'PX', ARGV[6])
return {'OK'}
