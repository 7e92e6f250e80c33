-- How long a request is tried.
-- include: _destinations.lua
-- include: _records.lua

-- Its age counts from its first failure.
local function expires_at(r)
  local aged = (r.ageFrom or now) + limits_of(r.destination).max_age_ms
  return math.min(aged, deadline_of(r) or aged)
end
