-- One change of a saved filter with its event: everything is looked at first, then everything is written. The first write is the one to
-- the outbox, whose type it checks itself.
-- KEYS 1 filters   2 outbox   3 answer of the call
-- ARGV 1 id   2 its record as read, '' if it must not exist   3 its record as it will be, '' if it goes   4 event   5 answer
--      6 how long the answer is kept, ms   7 how many filters there may be
-- Answers {'REPEATED', answer}, {'TAKEN'}, {'CONFLICT'}, {'FULL'} or {'OK'}.
local call = redis.call
local first = call('GET', KEYS[3])
if first then return {'REPEATED', first} end
local have = call('HGET', KEYS[1], ARGV[1]) or ''
if ARGV[2] == '' then
  if have ~= '' then return {'TAKEN'} end
  if call('HLEN', KEYS[1]) >= tonumber(ARGV[7]) then return {'FULL'} end
elseif have ~= ARGV[2] then
  return {'CONFLICT'}
end

-- From here on nothing fails.
call('XADD', KEYS[2], '*', 'e', ARGV[4])
if ARGV[3] == '' then
  call('HDEL', KEYS[1], ARGV[1])
else
  call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
call('SET', KEYS[3], ARGV[5], 'PX', ARGV[6])
return {'OK'}
