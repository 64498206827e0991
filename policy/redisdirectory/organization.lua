-- An organization as of one moment: {ps, st, rev, ut} and, when ps is not the one known, {…, id, ct, key, un, p}; nil for none.
-- KEYS 1 organization. ARGV 1 policy stamp known.
local o = redis.call('HMGET', KEYS[1], 'ps', 'st', 'rev', 'ut')
if not o[1] then return false end
if o[1] ~= ARGV[1] then
  local rest = redis.call('HMGET', KEYS[1], 'id', 'ct', 'key', 'un', 'p')
  for i = 1, 5 do o[4 + i] = rest[i] end
end
return o
