-- Which members of a record no newer request has set.
-- include: _keys.lua

local function members_of(r)
  if not r.members then return {} end
  return cjson.decode(r.members)
end

-- Members as they stand in `fields:`: `v:` a version, `d:` the value delivered last.
local function prefixed(prefix, names)
  local made = {}
  for i, name in ipairs(names) do made[i] = prefix .. name end
  return made
end

-- The number and the request that set a member last.
local function version(entry)
  if not entry then return 0, nil end
  local seq, id = string.match(entry, '^(%d+)|([^|]*)|')
  return tonumber(seq) or 0, id
end

-- Members that no newer request has set, a request that set one of the others, how many there are in all,
-- and all requests that set others.
local function still_own(r)
  local names = members_of(r)
  local own, newer, setters = {}, nil, {}
  if #names == 0 then return own, newer, 0, setters end
  local newest = many(fields_key(r), prefixed('v:', names))
  for i, name in ipairs(names) do
    local seq, id = version(newest[i])
    if seq <= r.seq then
      own[#own + 1] = name
    else
      newer = id
      setters[id] = true
    end
  end
  return own, newer, #names, setters
end

local function covered(r)
  if r.barrier then return false end
  local own, newer, count = still_own(r)
  return count > 0 and #own == 0, newer
end
