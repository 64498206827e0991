-- Puts the mark of a destroyed key where a store that was set back has the key again. KEYS 1 organization   ARGV 1 the mark
if redis.call('HEXISTS', KEYS[1], 'key') == 1 then redis.call('HSET', KEYS[1], 'key', ARGV[1]) end
return 'OK'
