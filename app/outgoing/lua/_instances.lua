-- The instances of a family of destinations, one for each host: `instances:{family}` → when something was accepted for it last.
-- Bounded: hosts beyond those that a family may have share one instance.
-- include: _base.lua
-- include: _destinations.lua

local function index_of(destination)
  local family = string.match(destination, '^([^:]+):')
  return family and P .. 'instances:' .. family, family
end

local taken = {} -- instances that are new with this call; index → how many they are

-- The instance in which a request for this one belongs.
local function instance_of(destination)
  local key, family = index_of(destination)
  if not key or taken[destination] or redis.call('ZSCORE', key, destination) then return destination end
  local count = taken[key] or 0
  if redis.call('ZCARD', key) + count >= limits_of(destination).instances then return family .. ':others' end
  taken[key], taken[destination] = count + 1, true
  return destination
end

-- It has work, or is paused: then it stays, however long ago its last request was accepted.
local function is_in_use(destination)
  return redis.call('EXISTS', P .. 'pending:' .. destination, P .. 'live:' .. destination, P .. 'failed:' .. destination) > 0
    or redis.call('HEXISTS', P .. 'destination:' .. destination, 'paused') == 1
end

-- An instance that nobody has used for a day makes room for another.
local function forget_instance(destination)
  local key = index_of(destination)
  local last = key and redis.call('ZSCORE', key, destination)
  if last and tonumber(last) + 86400000 <= now and not is_in_use(destination) then redis.call('ZREM', key, destination) end
end

local function note_instance(destination)
  local key = index_of(destination)
  if key then redis.call('ZADD', key, int(now), destination) end
end
