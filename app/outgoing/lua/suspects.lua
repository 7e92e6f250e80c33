#!lua flags=allow-oom
-- Suspects: content media and paths whose last write of unknown outcome is one lease behind a newer
-- delivery, to be read back now.
--
-- ARGV[1] {destination, limit, …}
-- Result  {name, until, …}: each is put off by a lease, until then, and taken out by `unsuspect` once it was read back
-- include: _base.lua
-- include: _destinations.lua

local key = P .. 'suspects:' .. ctl.destination
local answer, till = {}, int(now + limits_of(ctl.destination).lease_ms)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', int(now), 'LIMIT', 0, ctl.limit)) do
  redis.call('ZADD', key, till, name)
  answer[#answer + 1] = name
  answer[#answer + 1] = till
end
return answer
