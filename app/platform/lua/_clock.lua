-- The server's clock may be set back. A time that was noted before lies too far ahead then: farther than
-- any that is given now.
-- include: _base.lua

local NEVER = 9000000000000000 -- as a score: not before somebody changes it

-- Milliseconds until a time, at most `longest` from now; 0 where it has come, or lies farther ahead.
local function remaining(time, longest)
  local ms = time - now
  return ms > 0 and ms <= longest and ms or 0
end

-- The time itself, or where it lies farther ahead than `longest` from now, that; and whether it was.
local function cut_short(time, longest)
  if time > now + longest then return now + longest, true end
  return time, false
end

-- Members of a sorted set of times that lie farther ahead than `longest` from now; `limit` -1: all of them.
local function too_far(key, longest, limit)
  return redis.call('ZRANGEBYSCORE', key, '(' .. int(now + longest), '(' .. int(NEVER), 'LIMIT', 0, limit)
end
