-- FOR THE RELEASE BEFORE, which knows no guards: its records have `generation`, that of the registration
-- that they were made for. It reads ours, too, so that they have it as well. To be removed together with
-- the field.
-- include: _base.lua

local GENERATION = 'registrations:generation'

local function guards_of_before(r)
  if not r.generation or r.generation == 0 then return {} end
  return { { 'unregistered', int(r.generation), 'HGET', GENERATION, r.media },
    { 'unregistered', '1', 'HEXISTS', 'registrations:active:media', r.media } }
end

local function generation_of(guards)
  for _, guard in ipairs(guards) do
    if guard[4] == GENERATION then return guard[2] end
  end
  return '0'
end
