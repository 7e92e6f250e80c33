#!lua flags=allow-oom
-- Suspects: lanes whose last write of unknown outcome is one lease behind a newer delivery, to be read back now.
--
-- ARGV[1] {destination, limit, …}
-- Result  lanes; each is put off by a lease, and taken out by `unsuspect` once it was read back
-- include: _lib.lua

local key = P .. 'suspects:' .. ctl.destination
local lanes = redis.call('ZRANGEBYSCORE', key, '-inf', int(now), 'LIMIT', 0, ctl.limit)
for _, lane in ipairs(lanes) do redis.call('ZADD', key, int(now + ctl.lease_ms), lane) end
return lanes
