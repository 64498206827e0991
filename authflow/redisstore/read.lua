-- Everything a call needs before it can decide, as of one moment.
-- KEYS 1 organization, then one for each letter of ARGV[1] after 'o', in order, then the looked-up directory records
-- ARGV 1 letters: o organization, f flow, n once-key, l index entry, s session, c support code, a authenticator and person of
--        a subject (two keys), i linked identity
--      2 policy stamp known   3 field of the outcome in the flow, or ''
-- Answers {organization, flow {stamp, mark, state, outcome}, once, last, session, code, authenticator {stamp, record}, person {stamp, record}, identity, record, record …}, false for absent.
-- The organization is {ps, st, rev, ut} and, when ps is not the known one, {…, id, ct, key, un, p}.
local call = redis.call
local reply = {false, false, false, false, false, false, false, false, false}
local k = 1
for i = 1, #ARGV[1] do
  local what = string.sub(ARGV[1], i, i)
  if what == 'o' then
    local o = call('HMGET', KEYS[1], 'ps', 'st', 'rev', 'ut')
    if o[1] then
      if o[1] ~= ARGV[2] then
        local rest = call('HMGET', KEYS[1], 'id', 'ct', 'key', 'un', 'p')
        for j = 1, 5 do o[4 + j] = rest[j] end
      end
      reply[1] = o
    end
  else
    k = k + 1
    if what == 'f' then
      local f
      if ARGV[3] ~= '' then
        f = call('HMGET', KEYS[k], 'st', 'by', 's', ARGV[3])
      else
        f = call('HMGET', KEYS[k], 'st', 'by', 's')
        f[4] = false
      end
      if f[1] then reply[2] = f end
    elseif what == 'n' then
      reply[3] = call('GET', KEYS[k])
    elseif what == 'l' then
      reply[4] = call('GET', KEYS[k])
    elseif what == 's' then
      reply[5] = call('GET', KEYS[k])
    elseif what == 'c' then
      reply[6] = call('GET', KEYS[k])
    elseif what == 'a' then
      reply[7] = call('HMGET', KEYS[k], 'st', 's')
      k = k + 1
      reply[8] = call('HMGET', KEYS[k], 'st', 's')
    elseif what == 'i' then
      reply[9] = call('GET', KEYS[k])
    end
  end
end
for i = k + 1, #KEYS do reply[9 + i - k] = call('GET', KEYS[i]) end
return reply
