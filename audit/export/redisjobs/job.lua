-- One change of an organization's exports with its event: everything is looked at first, then everything is written. The first write
-- is the one to the outbox, whose type it checks itself, where there is one.
-- KEYS 1 exports   2 outbox   3 answer of the call   4 who makes them   5 what is due   6 those that are not over
-- ARGV 1 id, '' none   2 its record as read, '' if it must not exist   3 its record as it will be, '' none   4 event, '' none
--      5 answer, '' none   6 how long the answer is kept, ms   7 now, ms   8 due, ms, '' never   9 '1' takes or keeps the lease
--      10 how many may be made at once   11 how many there may be   12 member of the due ones   13 how many may be unmade
--      14 '1' it is not over
-- Answers {'REPEATED', answer}, {'CONFLICT'}, {'FULL'}, {'BUSY'} or {'OK'}.
local call = redis.call
if ARGV[5] ~= '' then
  local first = call('GET', KEYS[3])
  if first then return {'REPEATED', first} end
end
local id = ARGV[1]
if id ~= '' then
  if (call('HGET', KEYS[1], id) or '') ~= ARGV[2] then return {'CONFLICT'} end
  call('ZSCORE', KEYS[5], '') -- its type, as the other looks find out that of theirs
  local unmade = call('ZCARD', KEYS[6])
  local made = call('ZCOUNT', KEYS[4], '(' .. ARGV[7], '+inf')
  if ARGV[2] == '' and (call('HLEN', KEYS[1]) >= tonumber(ARGV[11]) or unmade >= tonumber(ARGV[13])) then return {'FULL'} end
  if ARGV[9] == '1' and not call('ZSCORE', KEYS[4], id) and made >= tonumber(ARGV[10]) then
    return {'BUSY'}
  end
end

-- From here on nothing fails.
if ARGV[4] ~= '' then call('XADD', KEYS[2], '*', 'e', ARGV[4]) end
if id ~= '' then
  if ARGV[3] ~= '' then call('HSET', KEYS[1], id, ARGV[3]) else call('HDEL', KEYS[1], id) end
  if ARGV[9] == '1' then
    call('ZREMRANGEBYSCORE', KEYS[4], '-inf', ARGV[7])
    call('ZADD', KEYS[4], ARGV[8], id)
  else
    call('ZREM', KEYS[4], id)
  end
  if ARGV[8] ~= '' then call('ZADD', KEYS[5], ARGV[8], ARGV[12]) else call('ZREM', KEYS[5], ARGV[12]) end
  if ARGV[14] == '1' then call('ZADD', KEYS[6], 0, id) else call('ZREM', KEYS[6], id) end
end
if ARGV[5] ~= '' then call('SET', KEYS[3], ARGV[5], 'PX', ARGV[6]) end
return {'OK'}
