-- Whether the registration that a request was made for still stands.
-- include: _base.lua

-- A registration that was ended, or begun anew since, no longer answers for the request.
local function orphan(r)
  if not r.generation or r.generation == 0 then return false end
  local current = redis.call('HGET', P .. 'registrations:generation', r.media)
  return tonumber(current or 0) ~= r.generation
    or redis.call('HEXISTS', P .. 'registrations:active:media', r.media) == 0
end
