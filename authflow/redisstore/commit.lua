-- One change of state with its events: everything is looked at first, then everything is written, so that nothing can fail
-- half-way. The first write is the one to the outbox, whose type it checks itself.
--
-- ARGV  1 one byte each: where the outcome goes (0 nowhere, 1 once-key, 2 field of the flow); the flow (0 none, 1 written,
--         2 written and ends a superseded one); its deadline (0 stays, 1 set, 2 gone); 1: it expires; 1: index entry;
--         1: session; numbers of events, claims, tallies; the subject's authenticator (0 none, 1 compared, 2 replaced, 3 made and
--         listed); what is remembered of the subject (0 none, 1 compared, 2 written); the link of an identity (0 none, 1 compared, 2 changed)
--       2 policy stamp, '' not compared   3 field of the outcome, or how long the once-key is kept, in ms   4 outcome
--       5 stamp of the flow, '' if it must not exist   6 its new stamp   7 its new state
--       8 what the bytes announce, in this order: deadline's member and ms (ms only to set it); expiry in ms; the events;
--         the index entry expected, the new one, its ms, the member of the flow it names; the session, the one expected, '' if it
--         must be new, its ms; the authenticator's stamp, '' if it must not exist, its new stamp and record (to replace or make it),
--         its name in the list (to make it); the person's stamp, its new stamp, record and ms (to write it); each claim's value
--         and ms; each tally's member, hour in ms, site, field; the link
--         expected, '' if there must be none, the new one, '' to remove it, its name in the list, the name that goes from there, ''
--         for either if there is none (all but the first to change it)
-- KEYS  1 organization   2 outbox   3 flow, then likewise: the deadlines (for a deadline or an index entry); the once-key;
--         the index entry and the flow it names; the session; the subject's authenticator and person (for either of them) and the
--         list of authenticators; the claims; the tallies' index and the tallies; the link and (to change it) the list of links
-- Answers stream id or ms, {'REPEATED', outcome} or
--      {'CONFLICT', '1' flow moved, {stamp, mark, state}, '1' policy moved, organization, '1' index moved, '1' session taken,
--       number of the claim taken or 0, {{stamp, record} of the authenticator, {stamp, record} of the person}, who has taken that claim, '1' link
--       moved}
local call = redis.call
local keep, write, due, expire, has_last, has_session, nevents, nclaims, ntallies, factor, memory, link = string.byte(ARGV[1], 1, 12)
local org, outbox, flow = KEYS[1], KEYS[2], KEYS[3]
local k, a = 3, 7

local deadlines, member, deadline, expiry
if due > 0 or has_last == 1 then
  k = k + 1
  deadlines = KEYS[k]
end
if due > 0 then
  a = a + 1
  member = ARGV[a]
  if due == 1 then
    a = a + 1
    deadline = ARGV[a]
  end
end
if expire == 1 then
  a = a + 1
  expiry = ARGV[a]
end
local events_at = a
a = a + nevents

-- The commit key goes before anything else.
local once
if keep == 1 then
  k = k + 1
  once = KEYS[k]
  local first = call('GET', once)
  if first then return {'REPEATED', first} end
end
local flow_moved = false
if write > 0 then
  local have
  if keep == 2 then
    have = call('HMGET', flow, 'st', 'by', ARGV[3])
    if have[3] then return {'REPEATED', have[3]} end
  else
    have = call('HMGET', flow, 'st', 'by')
  end
  flow_moved = (have[1] or '') ~= ARGV[5] or (have[2] and 2 or 1) ~= write
end
local policy_moved = ARGV[2] ~= '' and call('HGET', org, 'ps') ~= ARGV[2]

local last, old, old_score, old_mark, last_at
local last_moved = false
if has_last == 1 then
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
if has_session == 1 then
  session, session_at = KEYS[k + 1], a
  k, a = k + 1, a + 3
  session_taken = (call('GET', session) or '') ~= ARGV[session_at + 2]
end

local authenticator, person, listed, factor_at, memory_at
local subject_moved = false
if factor + memory > 0 then
  authenticator, person, factor_at = KEYS[k + 1], KEYS[k + 2], a + 1
  k = k + 2
  if factor > 0 then
    a = a + 1
    subject_moved = (call('HGET', authenticator, 'st') or '') ~= ARGV[factor_at]
    if factor > 1 then a = a + 2 end
    if factor == 3 then
      k, a = k + 1, a + 1
      listed = KEYS[k]
      call('ZSCORE', listed, ARGV[a])
    end
  end
  memory_at = a + 1
  if memory > 0 then
    a = a + 1
    if (call('HGET', person, 'st') or '') ~= ARGV[memory_at] then subject_moved = true end
    if memory == 2 then a = a + 3 end
  end
end

local claims, claims_at, claim_taken, holder = k, a, 0, ''
for i = 1, nclaims do
  local have = call('GET', KEYS[claims + i])
  if have and have ~= ARGV[claims_at + 2 * i - 1] and claim_taken == 0 then claim_taken, holder = i, have end
end
k, a = k + nclaims, a + 2 * nclaims

local tallies, tallies_at = k + 1, a
for i = 1, ntallies do
  local have = call('HGET', KEYS[tallies + i], ARGV[tallies_at + 4 * i])
  if have and (#have > 15 or not string.match(have, '^%d+$')) then return redis.error_reply('ERR a tally is no number') end
  call('ZSCORE', KEYS[tallies], ARGV[tallies_at + 4 * i - 3])
end
if due > 0 then call('ZSCORE', deadlines, member) end

local identity, identities, link_at
local link_moved = false
if link > 0 then
  k, a = k + (ntallies > 0 and ntallies + 1 or 0), a + 4 * ntallies
  identity, identities, link_at = KEYS[k + 1], KEYS[k + 2], a + 1
  link_moved = (call('GET', identity) or '') ~= ARGV[link_at]
  if link == 2 then call('ZSCORE', identities, ARGV[link_at + 2]) end
end

if flow_moved or policy_moved or last_moved or session_taken or claim_taken > 0 or subject_moved or link_moved then
  local current, organization, subject = false, false, false
  if flow_moved then current = call('HMGET', flow, 'st', 'by', 's') end
  if policy_moved then organization = call('HMGET', org, 'ps', 'st', 'rev', 'ut', 'id', 'ct', 'key', 'un', 'p') end
  if subject_moved then subject = {call('HMGET', authenticator, 'st', 's'), call('HMGET', person, 'st', 's')} end
  return {'CONFLICT', flow_moved and '1' or '', current, policy_moved and '1' or '', organization, last_moved and '1' or '',
    session_taken and '1' or '', claim_taken, subject, holder, link_moved and '1' or ''}
end

local now
if nevents == 0 or old_score then
  local t = call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end

-- From here on nothing fails.
local id
for i = 1, nevents do id = call('XADD', outbox, '*', 'e', ARGV[events_at + i]) end
if write > 0 then
  if keep == 2 then
    call('HSET', flow, 'st', ARGV[6], 's', ARGV[7], ARGV[3], ARGV[4])
  else
    call('HSET', flow, 'st', ARGV[6], 's', ARGV[7])
  end
  if due == 1 then
    call('ZADD', deadlines, deadline, member)
  elseif due == 2 then
    call('ZREM', deadlines, member)
  end
  if expiry then call('PEXPIRE', flow, expiry) end
end
if once then call('SET', once, ARGV[4], 'PX', ARGV[3]) end
if last then
  call('SET', last, ARGV[last_at + 2], 'PX', ARGV[last_at + 3])
  if old_score and not old_mark then
    call('HSET', old, 'by', ARGV[last_at + 2])
    if tonumber(old_score) > now then call('ZADD', deadlines, now, ARGV[last_at + 4]) end
  end
end
if session then call('SET', session, ARGV[session_at + 1], 'PX', ARGV[session_at + 3]) end
if factor > 1 then call('HSET', authenticator, 'st', ARGV[factor_at + 1], 's', ARGV[factor_at + 2]) end
if listed then call('ZADD', listed, 0, ARGV[factor_at + 3]) end
if memory == 2 then
  call('HSET', person, 'st', ARGV[memory_at + 1], 's', ARGV[memory_at + 2])
  call('PEXPIRE', person, ARGV[memory_at + 3])
end
for i = 1, nclaims do
  call('SET', KEYS[claims + i], ARGV[claims_at + 2 * i - 1], 'PX', ARGV[claims_at + 2 * i])
end
for i = 1, ntallies do
  local at = tallies_at + 4 * i - 3
  call('HINCRBY', KEYS[tallies + i], ARGV[at + 3], 1)
  if call('HSETNX', KEYS[tallies + i], '@site', ARGV[at + 2]) == 1 then call('HSET', KEYS[tallies + i], '@stamp', ARGV[6]) end
  call('ZADD', KEYS[tallies], 'NX', ARGV[at + 1], ARGV[at])
end
if link == 2 then
  local record, name, gone = ARGV[link_at + 1], ARGV[link_at + 2], ARGV[link_at + 3]
  if record ~= '' then call('SET', identity, record) else call('DEL', identity) end
  if gone ~= '' then call('ZREM', identities, gone) end
  if name ~= '' then call('ZADD', identities, 0, name) end
end
return id or string.format('%.0f', now)
