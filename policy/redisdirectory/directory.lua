-- One change of an organization with its events: everything is looked at first, then everything is written. The first write
-- is the one to the outbox, whose type it checks itself.
--
-- KEYS  1 organization   2 outbox   3 progress of the call   4 index of domains
--       then the domains added, the claims added, the domains dropped, the claims dropped, the parts of the index of claims; where
--       there are challenges: the index of challenges, what is to be looked at when, and the challenges; last, where the policy is
--       revised: its history and the index of that
-- ARGV  1 stamp expected, '' if it must not exist   2 new stamp   3 revision   4 updated, ms
--       5 '1': the policy record is written   6 policy stamp   7 policy record   8 choice for an unreadable one
--       9 name   10 '1' or '0' each: disabled, sandbox, deleted   11 id   12 created, ms   13 key, '' unchanged
--      14 progress, '' none   15 number of events, 16 of domains added, 17 of claims added, 18 of domains dropped
--      19 of challenges, 20 of claims dropped, 21 of parts of the index of claims
--      22 last moment at which this may happen, ms, '' any   23 '1': the progress must be as it was read   24 that, '' none
--      25 the events; each domain's record, then name; each claim's record, member and part of the index; each dropped domain's name;
--         each dropped claim's member and part of the index; each challenge as it was read ('' if it must not exist), as it will be
--         ('' if it goes), its name, its member and when it is due, ms ('' never)
--      last: how many revisions of the policy are kept, of how many bytes, and the one this is, '' none
-- Answers 'OK', 'CONFLICT', or 'LATE' when it may happen no more.
local call = redis.call
local org, outbox, progress, domains = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local nevents, nadd, nclaims, ndrop = tonumber(ARGV[15]), tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
local nchallenges, nreleases, nparts = tonumber(ARGV[19]), tonumber(ARGV[20]), tonumber(ARGV[21])
local at_events = 24
local at_domains = at_events + nevents
local at_claims = at_domains + 2 * nadd
local at_drops = at_claims + 3 * nclaims
local at_releases = at_drops + ndrop
local at_challenges = at_releases + 2 * nreleases
local k_releases = 4 + nadd + nclaims + ndrop
local k_parts = k_releases + nreleases
local k_challenges = k_parts + nparts
local at_history = at_challenges + 5 * nchallenges
local revised = ARGV[at_history + 3]
local history, revisions = KEYS[#KEYS - 1], KEYS[#KEYS]

local have = call('HMGET', org, 'st', 'nd', 'nc')
if (have[1] or '') ~= ARGV[1] then return 'CONFLICT' end
for i = 2, 3 do
  if have[i] and not string.match(have[i], '^%d+$') then return redis.error_reply('ERR a count is no number') end
end
if ARGV[22] ~= '' then
  local t = call('TIME')
  if t[1] * 1000 + math.floor(t[2] / 1000) > tonumber(ARGV[22]) then return 'LATE' end
end
if ARGV[14] ~= '' then
  local was = call('GET', progress) or ''
  if ARGV[23] == '1' and was ~= ARGV[24] then return 'CONFLICT' end
end
call('ZCARD', domains)
local new_domains, new_claims, dropped, released = 0, 0, 0, 0
for i = 1, nadd do
  if not call('GET', KEYS[4 + i]) then new_domains = new_domains + 1 end
end
for i = 1, nclaims do
  if not call('GET', KEYS[4 + nadd + i]) then new_claims = new_claims + 1 end
end
for i = 1, ndrop do
  if call('GET', KEYS[4 + nadd + nclaims + i]) then dropped = dropped + 1 end
end
for i = 1, nreleases do
  if call('GET', KEYS[k_releases + i]) then released = released + 1 end
end
for i = 1, nparts do call('ZCARD', KEYS[k_parts + i]) end
for i = 1, nchallenges do
  if (call('GET', KEYS[k_challenges + 2 + i]) or '') ~= ARGV[at_challenges + 5 * i - 4] then return 'CONFLICT' end
end
if nchallenges > 0 then
  call('ZCARD', KEYS[k_challenges + 1])
  call('ZCARD', KEYS[k_challenges + 2])
end
local kept, bytes = 0, 0
if revised ~= '' then
  kept = call('ZCARD', revisions)
  bytes = tonumber(call('HGET', history, 'bytes') or 0)
  if not bytes then return redis.error_reply('ERR the size of the history is no number') end
end

-- From here on nothing fails.
for i = 1, nevents do call('XADD', outbox, '*', 'e', ARGV[at_events + i]) end
call('HSET', org, 'st', ARGV[2], 'rev', ARGV[3], 'ut', ARGV[4])
if ARGV[5] == '1' then
  call('HSET', org, 'ps', ARGV[6], 'p', ARGV[7], 'un', ARGV[8], 'n', ARGV[9], 'd', string.sub(ARGV[10], 1, 1), 'sb', string.sub(ARGV[10], 2, 2),
    'x', string.sub(ARGV[10], 3, 3), 'id', ARGV[11], 'ct', ARGV[12])
end
if ARGV[13] ~= '' then call('HSET', org, 'key', ARGV[13]) end
for i = 1, nadd do
  call('SET', KEYS[4 + i], ARGV[at_domains + 2 * i - 1])
  call('ZADD', domains, 0, ARGV[at_domains + 2 * i])
end
for i = 1, nclaims do
  local at = at_claims + 3 * i
  call('SET', KEYS[4 + nadd + i], ARGV[at - 2])
  call('ZADD', KEYS[k_parts + ARGV[at]], 0, ARGV[at - 1])
end
for i = 1, ndrop do
  call('DEL', KEYS[4 + nadd + nclaims + i])
  call('ZREM', domains, ARGV[at_drops + i])
end
for i = 1, nreleases do
  local at = at_releases + 2 * i
  call('DEL', KEYS[k_releases + i])
  call('ZREM', KEYS[k_parts + ARGV[at]], ARGV[at - 1])
end
for i = 1, nchallenges do
  local at, key = at_challenges + 5 * i - 4, KEYS[k_challenges + 2 + i]
  if ARGV[at + 1] == '' then
    call('DEL', key)
    call('ZREM', KEYS[k_challenges + 1], ARGV[at + 2])
  else
    call('SET', key, ARGV[at + 1])
    call('ZADD', KEYS[k_challenges + 1], 0, ARGV[at + 2])
  end
  if ARGV[at + 4] == '' then
    call('ZREM', KEYS[k_challenges + 2], ARGV[at + 3])
  else
    call('ZADD', KEYS[k_challenges + 2], ARGV[at + 4], ARGV[at + 3])
  end
end
if new_domains ~= dropped then call('HINCRBY', org, 'nd', new_domains - dropped) end
if new_claims ~= released then call('HINCRBY', org, 'nc', new_claims - released) end
if revised ~= '' then
  call('HSET', history, ARGV[3], revised)
  call('ZADD', revisions, ARGV[3], ARGV[3])
  kept, bytes = kept + 1, bytes + #revised
  while kept > 1 and (kept > tonumber(ARGV[at_history + 1]) or bytes > tonumber(ARGV[at_history + 2])) do
    local oldest = call('ZRANGE', revisions, 0, 0)[1]
    bytes = bytes - call('HSTRLEN', history, oldest)
    call('HDEL', history, oldest)
    call('ZREM', revisions, oldest)
    kept = kept - 1
  end
  call('HSET', history, 'bytes', bytes)
end
if ARGV[14] ~= '' then call('SET', progress, ARGV[14], 'PX', 86400000) end
return 'OK'
