-- The server's clock was set back: a consumer's times that were noted before lie too far ahead.
-- include: _base.lua
-- include: _clock.lua
-- include: _consumer.lua
-- include: _open.lua

-- Cut a time of the consumer short, where it lies farther ahead than any that is given now; whether it did.
local function cut_field(f, field, longest)
  if not f[field] then return false end
  local time, was_ahead = cut_short(f[field], longest)
  f[field] = time
  if was_ahead then redis.call('HSET', consumer_key(f.id), field, int(time)) end
  return was_ahead
end

local function set_back(f)
  cut_field(f, 'notBefore', 0)
  cut_field(f, 'retryFrom', 0)
  cut_field(f, 'errorAt', 0)
  if cut_field(f, 'leaseUntil', ctl.lease_ms) then
    f.leasedAt = now
    redis.call('HSET', consumer_key(f.id), 'leasedAt', int(now))
  end
  local open = consumer_key(f.id, 'open')
  for _, member in ipairs(too_far(open, 0, -1)) do redis.call('ZADD', open, AT_ONCE, member) end
end
