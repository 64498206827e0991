-- Takes a live flow away with everything that leads to it. KEYS 1 flow 2 deadlines 3 support code. ARGV 1 member 2 flow id.
local call = redis.call
call('HGET', KEYS[1], 'st')
call('ZSCORE', KEYS[2], ARGV[1])
local named = call('GET', KEYS[3])
call('DEL', KEYS[1])
call('ZREM', KEYS[2], ARGV[1])
if named == ARGV[2] then call('DEL', KEYS[3]) end
return 'OK'
