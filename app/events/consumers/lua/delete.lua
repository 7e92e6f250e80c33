#!lua flags=allow-oom
-- Delete: remove a consumer with all its keys and its replay, and run the caller's own writes.
--
-- ARGV[1] {id, also: [[n, …], …]}; ARGV[2…4] unused; ARGV[5…] arguments of the commands of `also`
-- Result  an error where a newer release made it; 1, or 0 where there is no such consumer
-- include: _base.lua
-- include: _changing.lua
-- include: _consumer.lua
-- include: _hash.lua
-- include: _listening.lua

local f, why = load(ctl.id)
if why == 'newer' then return refuse_newer() end
if not f then return 0 end
stop_listening(f, wanted(f))
if f.replay then forget_consumer({ id = f.replay }) end
forget_consumer(f)
redis.call('ZREM', P .. 'feeds', f.id)
run_also()
return 1
