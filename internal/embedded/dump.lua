-- Everything as of one moment: {key, type, ms to live or negative, value} for each key.
local call = redis.call
local out = {}
for _, key in ipairs(call('KEYS', '*')) do
  local kind = call('TYPE', key).ok
  local value
  if kind == 'string' then
    value = call('GET', key)
  elseif kind == 'hash' then
    value = call('HGETALL', key)
  elseif kind == 'zset' then
    value = call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'stream' then
    value = call('XRANGE', key, '-', '+')
  else
    return redis.error_reply('ERR a key has a type that no snapshot holds: ' .. kind)
  end
  out[#out + 1] = {key, kind, call('PTTL', key), value}
end
return out
