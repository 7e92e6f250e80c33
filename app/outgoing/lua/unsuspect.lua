#!lua flags=allow-oom
-- Unsuspect: what was read back is as it should be, or was sent again. A suspicion that has come since stays.
--
-- ARGV[1] {destination, name, till: as `suspects` gave it, …}
-- Result  1, or 0 where it was put off or suspected anew since
-- include: _base.lua

local key = P .. 'suspects:' .. ctl.destination
if tonumber(redis.call('ZSCORE', key, ctl.name) or 0) ~= ctl.till then return 0 end
return redis.call('ZREM', key, ctl.name)
