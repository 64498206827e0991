-- One step of an erasure: its record, what goes from the live store with it, and its event. Everything is looked at first, then
-- everything is written.
-- KEYS 1 record   2 the organization's list   3 what is due in the partition   4 outbox   5 answer of the call (ARGV 6 says whether
--      there is one), then of each thing that goes: its key and the list it stands in (its key again if in none)
-- ARGV 1 record as read, '' if it must not exist   2 record as it will be   3 id, its name in the list   4 its name among what is due
--      5 when it is due, ms, '' never again   6 answer, '' none   7 how long that is kept, ms   8 how long the record is kept, ms,
--      '' for good   9 the name in the list before which all are forgotten, '' none   10 event, '' none, then of each thing that goes:
--      what must stand there, '' whatever, and its name in its list, '' none
-- Answers {'REPEATED', answer}, {'CONFLICT'} or {'OK'}.
local call = redis.call
if ARGV[6] ~= '' then
  local first = call('GET', KEYS[5])
  if first then return {'REPEATED', first} end
end
if (call('GET', KEYS[1]) or '') ~= ARGV[1] then return {'CONFLICT'} end
call('ZSCORE', KEYS[2], ARGV[3])
call('ZSCORE', KEYS[3], ARGV[4])
local going = {}
for i = 6, #KEYS, 2 do
  local a = i + 5
  if ARGV[a] == '' or call('GET', KEYS[i]) == ARGV[a] then
    if ARGV[a + 1] ~= '' then call('ZSCORE', KEYS[i + 1], ARGV[a + 1]) end
    going[#going + 1] = {KEYS[i], KEYS[i + 1], ARGV[a + 1]}
  end
end

-- From here on nothing fails.
if ARGV[10] ~= '' then call('XADD', KEYS[4], '*', 'e', ARGV[10]) end
if ARGV[8] ~= '' then
  call('SET', KEYS[1], ARGV[2], 'PX', ARGV[8])
else
  call('SET', KEYS[1], ARGV[2])
end
if ARGV[9] ~= '' then call('ZREMRANGEBYLEX', KEYS[2], '-', '(' .. ARGV[9]) end
call('ZADD', KEYS[2], 0, ARGV[3])
if ARGV[5] ~= '' then
  call('ZADD', KEYS[3], ARGV[5], ARGV[4])
else
  call('ZREM', KEYS[3], ARGV[4])
end
for _, g in ipairs(going) do
  call('DEL', g[1])
  if g[3] ~= '' then call('ZREM', g[2], g[3]) end
end
if ARGV[6] ~= '' then call('SET', KEYS[5], ARGV[6], 'PX', ARGV[7]) end
return {'OK'}
