#!lua flags=allow-oom
-- Ack: write down what became of a worker's calls; it gets more events, or lets the consumer go.
--
-- ARGV[1] {id, token, turn, revision, cursor: {topic: [at, previous]}, ahead?: [key], done: [member],
--          retry: [[member, ms]], attempts: [[key, tries, first failed at]], forget: [key], park: [[key, n]],
--          counts: {name: n}, journal: [[outcome, n]], delivered?, failure?: [code, n], failed_calls, disable?,
--          pace?, probation?, queue?, read?: {limit, max_bytes, open_limit, position?, keep?}, rest_ms?,
--          retry_rest_ms?, lease_ms, log_length}
-- ARGV[2…] payloads, which `n` counts from 1
-- Result  {"lost"}: another worker has it
--         | {"repeated" | "listening" | "awake" | "resting" | "stopped" | "done"}: let go
--         | {"ok", items, position, more, waiting} as claim has them
-- include: _base.lua
-- include: _consumer.lua
-- include: _happenings.lua
-- include: _lease.lua
-- include: _open.lua
-- include: _reading.lua
-- include: _scheduling.lua

-- A consumer counts as failing after so many failures in a row, or so long after the first. Where only
-- retries were made since, it takes longer: what was tried last may be an event that is never taken.
local FAILING_AFTER = 5
local FAILING_MS = 60000
local FAILING_RETRIES_MS = 600000
local JOURNAL_LENGTH = 1000
local MOST_PARKED = 10000

local f = load(ctl.id)
if not f or f.token ~= ctl.token then return { 'lost' } end
if (f.turn or 0) >= ctl.turn then
  -- The answer to this acknowledgement was lost; the events that it gave lie in `open`, or after the
  -- cursor.
  reschedule(f)
  return { 'repeated' }
end
local key = consumer_key(f.id)
local owner = f
if f.replaying then owner = load(f.owner) end

local function payload(n) return ARGV[n + 1] end

local changed = owner and owner.revision ~= ctl.revision

-- Whether a topic was taken out and put back since the worker read the configuration: it has another place
-- by now.
local function is_anew(topic)
  return changed and (tonumber(redis.call('HGET', key, 'began:' .. topic)) or 0) > ctl.revision
end

-- What was delivered beyond the cursor, of topics that have kept their place.
local function still_ahead()
  if not changed then return ctl.ahead end
  local kept = {}
  for _, one in ipairs(ctl.ahead) do
    local topic = string.match(one, '^[^|]+')
    local wanted_still = redis.call('HEXISTS', consumer_key(f.id, 'cursor'), topic) == 1
    if wanted_still and not is_anew(topic) then kept[#kept + 1] = one end
  end
  return kept
end

local function move_cursor()
  local cursor = consumer_key(f.id, 'cursor')
  for topic, way in pairs(ctl.cursor) do
    local at = tonumber(redis.call('HGET', cursor, topic))
    -- No place: the topic was unsubscribed meanwhile. A place farther on: retention has overtaken it.
    if at and way[1] > at and not is_anew(topic) then
      redis.call('HSET', cursor, topic, int(way[1]))
      if way[2] > 0 then redis.call('HSET', consumer_key(f.id, 'previous'), topic, int(way[2])) end
    end
  end
  if ctl.ahead then
    redis.call('DEL', consumer_key(f.id, 'ahead'))
    local ahead = still_ahead()
    chunked('SADD', consumer_key(f.id, 'ahead'), ahead)
  end
end

local function note_events()
  local open, attempts = consumer_key(f.id, 'open'), consumer_key(f.id, 'attempts')
  chunked('ZREM', open, ctl.done)
  for _, one in ipairs(ctl.retry) do
    -- Only what is still there: an update may have taken its topic away.
    redis.call('ZADD', open, 'XX', one[2] == 0 and AT_ONCE or int(now + one[2]), one[1])
  end
  for _, one in ipairs(ctl.attempts) do
    local key_of_event, tries, first_failed_at = one[1], one[2], one[3]
    redis.call('HSET', attempts, key_of_event, int(tries) .. '|' .. int(first_failed_at))
  end
  chunked('HDEL', attempts, ctl.forget)
  for _, one in ipairs(ctl.park) do
    redis.call('ZADD', consumer_key(f.owner, 'parked'), int(now), one[1])
    redis.call('HSET', consumer_key(f.owner, 'parked:why'), one[1], payload(one[2]))
  end
  for name, n in pairs(ctl.counts) do count(f, name, n) end
  for _, one in ipairs(ctl.journal) do
    redis.call('XADD', P .. 'subscription:' .. f.owner .. ':deliveries', 'MAXLEN', '~', JOURNAL_LENGTH, '*',
      'at', int(now), 'outcome', one[1], 'entry', payload(one[2]))
  end
end

local function note_success()
  redis.call('HSET', key, 'deliveredAt', int(now), 'failures', '0', 'failingSince', '', 'told', '',
    'retryFrom', '')
  if f.told then
    local since = iso(f.failingSince or now)
    publish_about(f, 'subscription-recovered', { failures = f.failures, failingSince = since })
  end
  f.failures, f.failingSince, f.told, f.retryFrom = 0, nil, nil, nil
end

local function note_failure()
  local code, detail = ctl.failure[1], payload(ctl.failure[2])
  redis.call('HSET', key, 'errorCode', code, 'errorDetail', detail, 'errorAt', int(now))
  f.failures = (f.failures or 0) + ctl.failed_calls
  if f.failures == 0 then return end -- of a retry, while first tries go through
  f.failingSince = math.min(f.failingSince or now, now)
  redis.call('HSET', key, 'failures', int(f.failures), 'failingSince', int(f.failingSince))
  local long = now - f.failingSince >= (ctl.failed_calls > 0 and FAILING_MS or FAILING_RETRIES_MS)
  if not f.told and not f.replaying and (f.failures >= FAILING_AFTER or long) then
    redis.call('HSET', key, 'told', '1')
    local since = iso(f.failingSince)
    publish_about(f, 'subscription-failing', { reason = code, failures = f.failures, failingSince = since })
  end
end

-- Its place stays. A replay has the destination of its subscription, so that both are disabled.
local function disable(reason)
  stop(f, 'disabled', reason)
  if owner ~= f and owner.state == 'active' then stop(owner, 'disabled', reason) end
  local replay = open_replay(owner)
  if replay and replay.id ~= f.id and replay.state == 'active' then stop(replay, 'disabled', reason) end
  publish_about(owner, 'subscription-disabled', { reason = reason, failures = f.failures or 0 })
end

redis.call('HSET', key, 'turn', int(ctl.turn))
f.turn = ctl.turn
move_cursor()
note_events()
if ctl.delivered then note_success() end
if ctl.failure then note_failure() end
if ctl.pace then redis.call('HSET', key, 'pace', string.format('%.1f', ctl.pace)) end
if ctl.probation then redis.call('HSET', key, 'probation', int(ctl.probation)) end
if ctl.retry_rest_ms then
  f.retryFrom = now + ctl.retry_rest_ms
  redis.call('HSET', key, 'retryFrom', int(f.retryFrom))
end
if ctl.queue then
  f.queue = ctl.queue
  redis.call('HSET', key, 'queue', ctl.queue)
end

if f.state == 'active' then
  if not owner then
    stop(f, 'cancelled', '')
  elseif ctl.disable then
    disable(ctl.disable)
  elseif #ctl.park > 0 and redis.call('ZCARD', consumer_key(f.owner, 'parked')) > MOST_PARKED then
    disable('parked_full')
  end
end
if f.state == 'active' and ctl.rest_ms then
  f.notBefore = now + ctl.rest_ms
  redis.call('HSET', key, 'notBefore', int(f.notBefore), 'notBeforeAt', int(now))
end
-- A new configuration counts from the next call on.
if f.state ~= 'active' or changed or ctl.rest_ms or not ctl.read then return { reschedule(f) } end

f.ordered, f.slots = owner.ordered, owner.slots
take_lease(f)
local got = read(f, ctl.read)
if #got.items == 0 and got.more == 0 and not ctl.read.keep then return { reschedule(f) } end
return { 'ok', got.items, got.position, got.more, waiting(f) }
