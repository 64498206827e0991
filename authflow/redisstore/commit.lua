-- One change of state with its events: everything is looked at first, then everything is written, so that nothing can fail
-- half-way. The first write is the one to the outbox, whose type it checks itself.
--
-- KEYS  1 organization   2 outbox   3 flow   4 deadlines
--       then, as the parts below are there: the once-key; the index entry and the flow it names; the session; the claims;
--       the tallies' index and the tallies
-- ARGV  1 '1': the outcome has a key of its own (once-key)   2 field of the outcome in the flow, or ''   3 outcome
--       4 policy stamp, '' not compared
--       5 '1': a flow is written   6 its stamp, '' if it must not exist   7 new stamp   8 new state
--       9 '1': this ends a superseded flow   10 deadline in ms, 'x' none any more, '' unchanged   11 its member   12 expiry ms
--      13 number of events   14 '1': index entry   15 '1': session   16 number of claims   17 number of tallies
--      18 the events; expected entry, new entry, its ms, member of the flow it names; session, '1' if it must be new, its ms;
--         each claim's value and ms; each tally's member, hour in ms, site, field
-- Answers {'OK', stream id or ms}, {'REPEATED', outcome} or
--      {'CONFLICT', '1' flow moved, {stamp, mark, state}, '1' policy moved, organization, '1' index moved, '1' session taken,
--       number of the claim taken or 0}
local call = redis.call
local org, outbox, flow, deadlines = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local field, writes, nevents = ARGV[2], ARGV[5] == '1', tonumber(ARGV[13])
local k, a = 4, 17 + nevents

-- The commit key goes before anything else.
local once
if ARGV[1] == '1' then
  k = k + 1
  once = KEYS[k]
  local first = call('GET', once)
  if first then return {'REPEATED', first} end
end
local flow_moved, old_stamp = false, ''
if writes then
  local have
  if field ~= '' then
    have = call('HMGET', flow, 'st', 'by', field)
    if have[3] then return {'REPEATED', have[3]} end
  else
    have = call('HMGET', flow, 'st', 'by')
  end
  flow_moved = (have[1] or '') ~= ARGV[6] or (have[2] and '1' or '') ~= ARGV[9]
end
local policy_moved = ARGV[4] ~= '' and call('HGET', org, 'ps') ~= ARGV[4]

local last, old, old_score, old_mark, last_at
local last_moved = false
if ARGV[14] == '1' then
  last, old, last_at = KEYS[k + 1], KEYS[k + 2], a
  k, a = k + 2, a + 4
  local expected = ARGV[last_at + 1]
  last_moved = (call('GET', last) or '') ~= expected
  if expected ~= '' then
    old_mark = call('HGET', old, 'by')
    old_score = call('ZSCORE', deadlines, ARGV[last_at + 4])
  end
end

local session, session_at
local session_taken = false
if ARGV[15] == '1' then
  session, session_at = KEYS[k + 1], a
  k, a = k + 1, a + 3
  session_taken = call('GET', session) and ARGV[session_at + 2] == '1'
end

local nclaims, claims, claims_at, claim_taken = tonumber(ARGV[16]), k, a, 0
for i = 1, nclaims do
  local have = call('GET', KEYS[claims + i])
  if have and have ~= ARGV[claims_at + 2 * i - 1] and claim_taken == 0 then claim_taken = i end
end
k, a = k + nclaims, a + 2 * nclaims

local ntallies, tallies, tallies_at = tonumber(ARGV[17]), k + 1, a
for i = 1, ntallies do
  local have = call('HGET', KEYS[tallies + i], ARGV[tallies_at + 4 * i])
  if have and not string.match(have, '^%d+$') then return redis.error_reply('ERR a tally is no number') end
  call('ZSCORE', KEYS[tallies], ARGV[tallies_at + 4 * i - 3])
end
if ARGV[10] ~= '' then call('ZSCORE', deadlines, ARGV[11]) end

if flow_moved or policy_moved or last_moved or session_taken or claim_taken > 0 then
  local current, organization = false, false
  if flow_moved then current = call('HMGET', flow, 'st', 'by', 's') end
  if policy_moved then organization = call('HMGET', org, 'ps', 'st', 'rev', 'ut', 'id', 'ct', 'key', 'un', 'p') end
  return {'CONFLICT', flow_moved and '1' or '', current, policy_moved and '1' or '', organization, last_moved and '1' or '',
    session_taken and '1' or '', claim_taken}
end

local now
if nevents == 0 or old_score then
  local t = call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end

-- From here on nothing fails.
local id
for i = 1, nevents do id = call('XADD', outbox, '*', 'e', ARGV[17 + i]) end
if writes then
  if field ~= '' then
    call('HSET', flow, 'st', ARGV[7], 's', ARGV[8], field, ARGV[3])
  else
    call('HSET', flow, 'st', ARGV[7], 's', ARGV[8])
  end
  if ARGV[10] == 'x' then
    call('ZREM', deadlines, ARGV[11])
  elseif ARGV[10] ~= '' then
    call('ZADD', deadlines, ARGV[10], ARGV[11])
  end
  if ARGV[12] ~= '' then call('PEXPIRE', flow, ARGV[12]) end
end
if once then call('SET', once, ARGV[3], 'PX', 86400000) end
if last then
  call('SET', last, ARGV[last_at + 2], 'PX', ARGV[last_at + 3])
  if old_score and not old_mark then
    call('HSET', old, 'by', ARGV[last_at + 2])
    if tonumber(old_score) > now then call('ZADD', deadlines, now, ARGV[last_at + 4]) end
  end
end
if session then call('SET', session, ARGV[session_at + 1], 'PX', ARGV[session_at + 3]) end
for i = 1, nclaims do
  call('SET', KEYS[claims + i], ARGV[claims_at + 2 * i - 1], 'PX', ARGV[claims_at + 2 * i])
end
for i = 1, ntallies do
  local at = tallies_at + 4 * i - 3
  call('HINCRBY', KEYS[tallies + i], ARGV[at + 3], 1)
  call('HSETNX', KEYS[tallies + i], '@site', ARGV[at + 2])
  call('ZADD', KEYS[tallies], 'NX', ARGV[at + 1], ARGV[at])
end
return {'OK', id or string.format('%.0f', now)}
