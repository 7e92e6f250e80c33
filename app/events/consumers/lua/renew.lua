#!lua flags=allow-oom
-- Renew: the leases of the consumers that a worker process has.
--
-- ARGV[1] {leases: [[id, token], …], lease_ms}
-- Result  for each 1, or 0 where it isn't this worker's any more
-- include: _base.lua
-- include: _consumer.lua
-- include: _lease.lua

local result = {}
for i, one in ipairs(ctl.leases) do
  local mine = redis.call('HGET', consumer_key(one[1]), 'token') == one[2]
  if mine then take_lease({ id = one[1] }) end
  result[i] = mine and 1 or 0
end
return result
