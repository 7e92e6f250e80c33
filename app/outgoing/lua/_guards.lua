-- Guards: what must hold for a request to be wanted. Those of a change are proved when it is accepted.
-- Those of a request stand in its record, and are proved again at claim, begin, reclaim, expire, act and
-- finish: where one fails, the request ends.
-- include: _base.lua
-- include: _before.lua

-- A reading command's answer as text, '' for nothing; of several the first.
local function answer_to(...)
  local answer = redis.call(...)
  if type(answer) == 'table' then answer = answer[1] end
  return type(answer) == 'number' and int(answer) or answer or ''
end

-- [[reason, expected answer, command, key without the tenant, argument, …], …]
local function guards_of(r)
  return r.guards and cjson.decode(r.guards) or guards_of_before(r)
end

-- The reason of a guard that doesn't hold any more, or nil.
local function broken_guard(r)
  for _, guard in ipairs(guards_of(r)) do
    if answer_to(guard[3], P .. guard[4], unpack(guard, 5)) ~= guard[2] then return guard[1] end
  end
  return nil
end
