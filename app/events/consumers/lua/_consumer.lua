-- A consumer as it is stored, and where it stands. It is always in exactly one of these:
--
--   listening  idle, has handled all there is; a member of `log:{topic}:listeners` (or of `…:listeners:{name}`)
--              of each of its topics
--   awake      `wake` is set: a message is on its way, or lost
--   taken      `token` is set: a worker has it until `leaseUntil`
--   resting    `notBefore` is set: it goes on at that time
--   stopped    `state` isn't active: paused, disabled, done, cancelled
--
-- Consumers that are awake, taken or resting stand in `feeds:due` with the time at which the tick has to
-- look at them; so does one that listens and has something to try again later.
-- include: _base.lua
-- include: _hash.lua

local SCHEMA = 1 -- of the consumers that this release makes

local function consumer_key(id, part)
  if part then return P .. 'feed:' .. id .. ':' .. part end
  return P .. 'feed:' .. id
end

local FIELDS = { 'state', 'owner', 'revision', 'ordered', 'slots', 'queue', 'wake', 'wakes', 'token', 'leaseUntil',
  'leasedAt', 'turn', 'notBefore', 'notBeforeAt', 'retryFrom', 'errorAt', 'failures', 'failingSince', 'told', 'pace',
  'probation', 'missed', 'until', 'replay' }
local NUMBERS = { revision = true, slots = true, wake = true, wakes = true, leaseUntil = true, leasedAt = true,
  turn = true, notBefore = true, notBeforeAt = true, retryFrom = true, probation = true, errorAt = true,
  failures = true, failingSince = true }

-- Its fields, without those that are empty; nothing and 'absent' or 'newer' as `load_hash` says. A replay
-- counts as newer where the consumer that it belongs to is.
local function load(id)
  local f, why = load_hash(consumer_key(id), FIELDS, NUMBERS, SCHEMA)
  if not f then return nil, why end
  f.id = id
  if f.owner ~= id then
    local _, of_owner = load_hash(consumer_key(f.owner), { 'state' }, {}, SCHEMA)
    if of_owner == 'newer' then return nil, 'newer' end
  end
  if f['until'] then f.bound = cjson.decode(f['until']) end
  f.replaying = f.owner ~= id
  return f
end

-- [[topic, [name…]], …], what its subscription wants.
local function wanted(f)
  local topics = redis.call('HGET', consumer_key(f.owner), 'topics')
  return topics and cjson.decode(topics) or {}
end

-- A hash of numbers.
local function pairs_of(key)
  local found, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do found[flat[i]] = tonumber(flat[i + 1]) end
  return found
end

-- The replay of a subscription that isn't over, if there is one; nothing and 'newer' where a newer release
-- wrote it.
local function open_replay(f)
  if not f.replay then return nil end
  local replay, why = load(f.replay)
  if why == 'newer' then return nil, why end
  if replay and replay.state ~= 'done' and replay.state ~= 'cancelled' then return replay end
  return nil
end

local PARTS = { 'cursor', 'previous', 'open', 'ahead', 'attempts', 'parked', 'parked:why', 'counters' }
local function forget_consumer(f)
  local keys = { consumer_key(f.id) }
  for _, part in ipairs(PARTS) do keys[#keys + 1] = consumer_key(f.id, part) end
  redis.call('UNLINK', unpack(keys))
  redis.call('ZREM', P .. 'feeds:due', f.id)
end

-- Count for the consumer, and for all subscriptions together. What a replay does counts for the replay
-- only.
local function count(f, name, by)
  redis.call('HINCRBY', consumer_key(f.id, 'counters'), name, int(by))
  if not f.replaying then redis.call('HINCRBY', P .. 'feeds:totals', name, int(by)) end
end
