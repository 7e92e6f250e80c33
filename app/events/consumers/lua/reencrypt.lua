#!lua flags=allow-oom
-- Reencrypt: store a consumer's secrets under another key, where nobody has changed them meanwhile.
--
-- ARGV[1] {id, seed, …}, [2] as they were, [3] as they are to be
-- Result  an error where a newer release made it; 1, or 0 where they are others by now or there is no such
--         consumer
-- include: _base.lua
-- include: _consumer.lua
-- include: _hash.lua

local f, why = load(ctl.id)
if why == 'newer' then return refuse_newer() end
if not f or redis.call('HGET', consumer_key(f.id), 'secrets') ~= ARGV[2] then return 0 end
redis.call('HSET', consumer_key(f.id), 'secrets', ARGV[3])
return 1
