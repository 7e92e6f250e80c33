-- The lease of the worker that has a consumer.
-- include: _base.lua
-- include: _consumer.lua

local function take_lease(f)
  redis.call('HSET', consumer_key(f.id), 'leaseUntil', int(now + ctl.lease_ms), 'leasedAt', int(now))
  redis.call('ZADD', P .. 'feeds:due', int(now + ctl.lease_ms), f.id)
end
