-- Whether a request would change anything.
-- include: _guards.lua
-- include: _versions.lua

local function same(guards, others)
  if #guards ~= #others then return false end
  for i, guard in ipairs(guards) do
    if #guard ~= #others[i] then return false end
    for n, word in ipairs(guard) do
      if word ~= others[i][n] then return false end
    end
  end
  return true
end

-- May the request that asked for a value last still deliver it, or has it? One with other guards is
-- refused when it wants to send, as soon as one of them doesn't hold.
local ENDED_UNDELIVERED = { rejected = true, expired = true, discarded = true, superseded = true }
local function stands(id, q)
  local found = redis.call('HMGET', request_key(id), 'state', 'guards', 'generation', 'media')
  if not found[1] or ENDED_UNDELIVERED[found[1]] then return false end
  local guards = guards_of({ guards = found[2], generation = tonumber(found[3] or 0), media = found[4] })
  return found[1] == 'delivered' or #guards == 0 or same(guards, guards_of(q))
end

-- Is each member's newest desired value this one already, and not ended undelivered? (A→B→A must queue
-- A, so the comparison is with what was asked for last, never with what was delivered last.)
local function changes_nothing(q)
  if q.forced or not q.members or #q.names == 0 then return false end
  local newest = many(fields_key(q), prefixed('v:', q.names))
  local standing = {}
  for i, member in ipairs(q.members) do
    local entry = newest[i]
    if not entry then
      if member[2] ~= '-' then return false end
    else
      local _, id, digest = string.match(entry, '^(%d+)|([^|]*)|(.*)$')
      if digest ~= member[2] then return false end
      if id ~= '' and not q.rejected and not standing[id] then
        if not stands(id, q) then return false end
        standing[id] = true
      end
    end
  end
  return true
end
