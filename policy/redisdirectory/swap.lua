-- Puts records in the place of others.
-- KEYS the records. ARGV 1 'ALL': all or none; 'EACH': those that are as they were read   2 how long they are kept, ms, '' for good
--      then of each record what was read, '' none, and what it shall be, '' none
-- Answers 'OK', or 'CONFLICT' when it did nothing.
local call, swaps = redis.call, {}
for i, key in ipairs(KEYS) do
  if (call('GET', key) or '') == ARGV[2 * i + 1] then
    swaps[#swaps + 1] = i
  elseif ARGV[1] == 'ALL' then
    return 'CONFLICT'
  end
end
for _, i in ipairs(swaps) do
  local next = ARGV[2 * i + 2]
  if next == '' then
    call('DEL', KEYS[i])
  elseif ARGV[2] == '' then
    call('SET', KEYS[i], next)
  else
    call('SET', KEYS[i], next, 'PX', ARGV[2])
  end
end
return 'OK'
