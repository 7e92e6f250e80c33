-- A record as a table.
-- include: _keys.lua
-- include: _hash.lua

local SCHEMA = 1 -- of the records that this release writes

local READ = { 'state', 'seq', 'destination', 'lane', 'kind', 'method', 'path', 'media', 'contentMediaId',
  'guards', 'generation', 'members', 'urgency', 'eventEndAt', 'deadline', 'waived', 'firstFailedAt', 'ageFrom', 'token',
  'leaseUntil', 'sendingAt', 'attemptCount', 'reclaims', 'demoted', 'nextTryAt', 'unknown',
  'sentMembers', 'sentLastModified', 'fence', 'livestreamId', 'versionPath', 'graceEndAt', 'createdAt', 'urgentAt',
  'claimedAt', 'staleFrom', 'reportsTo', 'repeatable' }
local NUMBERS = { seq = true, generation = true, urgency = true, eventEndAt = true, deadline = true,
  firstFailedAt = true, ageFrom = true, leaseUntil = true, sendingAt = true, attemptCount = true,
  reclaims = true, graceEndAt = true, createdAt = true, urgentAt = true, claimedAt = true, nextTryAt = true, fence = true,
  staleFrom = true }

local function as_record(id, r)
  r.id = id
  r.seq = r.seq or 0
  r.barrier = r.method ~= 'PATCH'
  return r
end

-- As `read` would find what is written: {name, value, …}.
local function from_fields(id, fields)
  local r = {}
  for i = 1, #fields, 2 do r[fields[i]] = NUMBERS[fields[i]] and tonumber(fields[i + 1]) or fields[i + 1] end
  return as_record(id, r)
end

-- The record as a table with its id, absent fields nil; nothing and 'absent' or 'newer' as `load_hash`
-- has it.
local function read(id)
  local r, why = load_hash(request_key(id), READ, NUMBERS, SCHEMA)
  if not r then return nil, why end
  return as_record(id, r)
end

-- Only what its place in a queue needs.
local function read_place(id)
  return load_hash(request_key(id), { 'state', 'urgency' }, NUMBERS, SCHEMA)
end

-- The earlier of its deadline and the end of its event plus a grace, unless an operator has waived both.
local function deadline_of(r)
  if r.waived == '1' then return nil end
  if r.deadline and r.graceEndAt then return math.min(r.deadline, r.graceEndAt) end
  return r.deadline or r.graceEndAt
end
