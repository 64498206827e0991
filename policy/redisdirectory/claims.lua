-- A page of an organization's claims: how many there are, then their hashes in order.
-- KEYS 1 organization, then the parts of the index from the first one on that may hold some
-- ARGV 1 where to begin in the first of them   2 how many at most
local found, limit, from = {redis.call('HGET', KEYS[1], 'nc') or '0'}, tonumber(ARGV[2]), ARGV[1]
for i = 2, #KEYS do
  if #found > limit then break end
  for _, name in ipairs(redis.call('ZRANGE', KEYS[i], from, '+', 'BYLEX', 'LIMIT', 0, limit + 1 - #found)) do
    found[#found + 1] = name
  end
  from = '-'
end
return found
