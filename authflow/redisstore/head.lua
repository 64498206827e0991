-- The moment before which every event has left the outbox: the recorded time of its head, else Redis' clock.
-- KEYS 1 outbox
local t = redis.call('TIME')
local head = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
if head[1] then return {head[1][1]} end
return {string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))}
