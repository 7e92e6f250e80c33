-- A record as a table; which of its members are still its own; whether its registration still stands.
-- include: _hash.lua

local SCHEMA = 1 -- of the records that this release writes

local READ = { 'state', 'seq', 'destination', 'lane', 'kind', 'method', 'path', 'media', 'contentMediaId',
  'generation', 'members', 'urgency', 'eventEndAt', 'deadline', 'waived', 'firstFailedAt', 'ageFrom', 'token',
  'leaseUntil', 'sendingAt', 'attemptCount', 'reclaims', 'demoted', 'nextTryAt', 'unknown',
  'sentMembers', 'sentLastModified', 'fence', 'livestreamId', 'versionPath', 'graceEndAt', 'createdAt', 'urgentAt',
  'claimedAt', 'staleFrom' }
local NUMBERS = { seq = true, generation = true, urgency = true, eventEndAt = true, deadline = true,
  firstFailedAt = true, ageFrom = true, leaseUntil = true, sendingAt = true, attemptCount = true,
  reclaims = true, graceEndAt = true, createdAt = true, urgentAt = true, claimedAt = true, nextTryAt = true, fence = true,
  staleFrom = true }

-- The record as a table with its id, absent fields nil; nothing and 'absent' or 'newer' as `load_hash` has it.
local function read(id)
  local r, why = load_hash(request_key(id), READ, NUMBERS, SCHEMA)
  if not r then return nil, why end
  r.id = id
  r.seq = r.seq or 0
  r.barrier = r.method ~= 'PATCH'
  return r
end

-- Only what its place in a queue needs.
local function read_place(id)
  return load_hash(request_key(id), { 'state', 'urgency' }, NUMBERS, SCHEMA)
end

-- How much of the room in flight is taken. What a newer release has left behind there, its lease long over, takes none.
local function in_flight(destination)
  local live = P .. 'live:' .. destination
  local count = redis.call('ZCARD', live)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', live, '-inf', int(now), 'LIMIT', 0, ctl.in_flight)) do
    local _, why = read_place(id)
    if why == 'newer' then count = count - 1 end
  end
  return count
end

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

-- Members that no newer request has set, a request that set one of the others, how many there are in all, and all requests
-- that set others.
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

-- A registration that was ended, or begun anew since, no longer answers for the request.
local function orphan(r)
  if not r.generation or r.generation == 0 then return false end
  local current = redis.call('HGET', P .. 'registrations:generation', r.media)
  return tonumber(current or 0) ~= r.generation
    or redis.call('HEXISTS', P .. 'registrations:active:media', r.media) == 0
end

-- The earlier of its deadline and the end of its event plus a grace, unless an operator has waived both.
local function deadline_of(r)
  if r.waived == '1' then return nil end
  if r.deadline and r.graceEndAt then return math.min(r.deadline, r.graceEndAt) end
  return r.deadline or r.graceEndAt
end
