-- The head of an outbox: {id, record, id, record, …}, at most so many entries and, after the first, so many bytes.
-- KEYS 1 outbox   ARGV 1 entries   2 bytes
local limit, left = tonumber(ARGV[1]), tonumber(ARGV[2])
local out, from, n = {}, '-', 0
while n < limit and left > 0 do
  local count = math.min(32, limit - n)
  local part = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', count)
  for _, entry in ipairs(part) do
    local data = ''
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'e' then data = entry[2][i + 1] end
    end
    if n > 0 and #data > left then return out end
    left = left - #data
    n = n + 1
    out[2 * n - 1], out[2 * n] = entry[1], data
  end
  if #part < count then return out end
  local ms, number = string.match(out[2 * n - 1], '^(%d+)-(%d+)$')
  from = ms .. '-' .. string.format('%.0f', tonumber(number) + 1)
end
return out
