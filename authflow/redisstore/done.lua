-- Lets archived flows expire and trims the outbox. KEYS 1 outbox, then flows. ARGV 1 first stream id that stays, 2 ms.
-- Only a flow that has left the deadlines is ended; one that is still there is not touched (KEYS[2] is the index).
local call = redis.call
call('XLEN', KEYS[1])
for i = 3, #KEYS do
  if not call('ZSCORE', KEYS[2], ARGV[i]) then call('PEXPIRE', KEYS[i], ARGV[2]) end
end
if ARGV[1] ~= '' then call('XTRIM', KEYS[1], 'MINID', '=', ARGV[1]) end
return 'OK'
