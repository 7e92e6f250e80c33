-- How much of a destination's room in flight is taken.
-- include: _destinations.lua
-- include: _records.lua

-- What a newer release has left behind there takes none, once its lease is over.
local function in_flight(destination)
  local most = limits_of(destination).in_flight
  local live = P .. 'live:' .. destination
  local count = redis.call('ZCARD', live)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', live, '-inf', int(now), 'LIMIT', 0, most)) do
    local _, why = read_place(id)
    if why == 'newer' then count = count - 1 end
  end
  return count
end
