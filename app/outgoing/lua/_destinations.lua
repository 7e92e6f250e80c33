-- What each destination is given (app/outgoing/destinations.py): limits, lease, ages, breaker. An
-- instance has its family's.
-- include: _limits.lua

local function limits_of(destination)
  return LIMITS[destination] or LIMITS[string.match(destination, '^[^:]*')] or LIMITS['']
end
