-- A consumer, and the machine of its wake-ups. It is always in exactly one of these:
--
--   listening  idle, has handled all there is; a member of `log:{topic}:listeners` (or of `…:listeners:{name}`) of each of its topics
--   awake      `wake` is set: a message is on its way, or lost
--   taken      `token` is set: a worker has it until `leaseUntil`
--   resting    `notBefore` is set: it goes on at that time
--   stopped    `state` isn't active: paused, disabled, done, cancelled
--
-- Awake, taken and resting ones stand in `feeds:due` with the time at which the tick has to look; so does a listening
-- one that has something to try again later.
-- include: _log.lua
-- include: _hash.lua

local SCHEMA = 1 -- of the consumers that this release makes
local NEVER = 9000000000000000 -- score in `open` of what a worker holds: whoever takes the consumer over finds it there
local AT_ONCE = 0 -- whatever the clock says
local LONGEST_MISSED = 20
-- Events of an unordered consumer that are under way or wait for a retry, while its first tries fail: then one new event at a time
-- finds out whether it is over, and with twice as many none is begun.
local MOST_OPEN = 2000

local function consumer_key(id, part)
  if part then return P .. 'feed:' .. id .. ':' .. part end
  return P .. 'feed:' .. id
end

local FIELDS = { 'state', 'owner', 'revision', 'ordered', 'slots', 'queue', 'wake', 'wakes', 'token', 'leaseUntil', 'leasedAt',
  'turn', 'notBefore', 'notBeforeAt', 'retryFrom', 'errorAt', 'failures', 'failingSince', 'told', 'pace', 'probation', 'missed',
  'until', 'replay' }
local NUMBERS = { revision = true, slots = true, wake = true, wakes = true, leaseUntil = true, leasedAt = true, turn = true,
  notBefore = true, notBeforeAt = true, retryFrom = true, probation = true, errorAt = true, failures = true, failingSince = true }

-- Its fields, without those that are empty; nothing and 'absent' or 'newer' as `load_hash` has it. A replay is as new as the
-- consumer that it belongs to.
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

-- [[topic, [name…]], …] as its subscription wants them.
local function wanted(f)
  local topics = redis.call('HGET', consumer_key(f.owner), 'topics')
  return topics and cjson.decode(topics) or {}
end

local function pairs_of(key)
  local found, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do found[flat[i]] = tonumber(flat[i + 1]) end
  return found
end

local function last_of(topic) return tonumber(redis.call('GET', P .. 'log:' .. topic .. ':sequence') or 0) end

local function sequence_of(entry) return tonumber(string.match(entry[1], '^%d+')) end

-- An entry's event, name, guid and time: as `append` writes them, or wherever else they stand.
local function values_of(entry)
  local v = entry[2]
  if v[1] == 'event' and v[3] == 'name' and v[5] == 'guid' and v[7] == 'at' then return v[2], v[4], v[6], v[8] end
  local values = {}
  for i = 1, #v, 2 do values[v[i]] = v[i + 1] end
  return values.event, values.name, values.guid, values.at
end

-- The sequence before the oldest entry that there is: what lies at or before it is gone. And when that entry was published.
local function before_oldest(topic)
  local oldest = redis.call('XRANGE', P .. 'log:' .. topic, '-', '+', 'COUNT', 1)[1]
  if not oldest then return last_of(topic), nil end
  local _, _, _, at = values_of(oldest)
  return sequence_of(oldest) - 1, tonumber(at)
end

-- Where a consumer's way on a topic ends for now.
local function target(f, topic)
  local last = last_of(topic)
  if f.bound then return math.min(f.bound[topic] or 0, last) end
  return last
end

local function listener(f, names)
  if #names == 0 then return f.id end
  return f.id .. '|' .. table.concat(names, '|') .. '|'
end

-- The sets of a topic that whoever wants these names is a member of.
local function sets_of(topic, names)
  if #names == 0 then return { listeners_key(topic, ALL) } end
  local keys = {}
  for i, name in ipairs(names) do keys[i] = listeners_key(topic, name) end
  return keys
end

local function start_listening(f, topics)
  for _, one in ipairs(topics) do
    for _, key in ipairs(sets_of(one[1], one[2])) do redis.call('ZADD', key, int(last_of(one[1])), listener(f, one[2])) end
  end
end

local function stop_listening(f, topics)
  for _, one in ipairs(topics) do
    for _, key in ipairs(sets_of(one[1], one[2])) do redis.call('ZREM', key, listener(f, one[2])) end
  end
end

-- Up to which sequence one that listens to a topic has handled, or doesn't want, all there is: nil where it doesn't listen.
local function listens_to(f, topic, names)
  local score
  for _, key in ipairs(sets_of(topic, names)) do
    local found = tonumber(redis.call('ZSCORE', key, listener(f, names)))
    if not found then return nil end
    score = math.min(score or found, found)
  end
  local first = first_news(topic, #names > 0 and names or { ALL }, score)
  return first and first - 1 or last_of(topic)
end

-- When the first of what is to be tried again is due: nil where there is nothing; what a worker has left behind is now.
local function open_due(f)
  local key = consumer_key(f.id, 'open')
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if not head[2] then return nil end
  if redis.call('ZCOUNT', key, int(NEVER), '+inf') > 0 then return now end
  return math.max(tonumber(head[2]), f.retryFrom or 0)
end

-- How many wait for a retry, due or not.
local function waiting(f) return redis.call('ZCOUNT', consumer_key(f.id, 'open'), '-inf', '(' .. int(NEVER)) end

local function is_full(f)
  return f.ordered ~= '1' and (f.failures or 0) > 0 and redis.call('ZCARD', consumer_key(f.id, 'open')) >= 2 * MOST_OPEN
end

local function has_more(f)
  for topic, at in pairs(pairs_of(consumer_key(f.id, 'cursor'))) do
    local goal = target(f, topic)
    if goal ~= at and (goal > at or not f.bound) then return true end
  end
  return false
end

local function end_replay(f, state)
  f.state = state
  redis.call('HSET', consumer_key(f.id), 'state', state, 'endedAt', int(now))
end

-- Out of a worker's hands, or never in them: where does it belong?
local function settle(f)
  redis.call('HSET', consumer_key(f.id), 'token', '', 'wake', '')
  f.token, f.wake = nil, nil
  if f.state ~= 'active' then
    redis.call('ZREM', P .. 'feeds:due', f.id)
    return 'stopped'
  end
  if f.notBefore and f.notBefore > now then
    redis.call('ZADD', P .. 'feeds:due', int(f.notBefore), f.id)
    return 'resting'
  end
  local due, more = open_due(f), has_more(f)
  if more and due and due > now and is_full(f) then
    -- Nothing is begun before one of those can be tried.
    redis.call('HSET', consumer_key(f.id), 'notBefore', int(due), 'notBeforeAt', int(now))
    redis.call('ZADD', P .. 'feeds:due', int(due), f.id)
    return 'resting'
  end
  if more or (due and due <= now) then
    wake_consumer(f.id, f.queue or FAST)
    return 'awake'
  end
  redis.call('HSET', consumer_key(f.id), 'notBefore', '')
  if due then
    redis.call('ZADD', P .. 'feeds:due', int(due), f.id)
  else
    redis.call('ZREM', P .. 'feeds:due', f.id)
    if f.replaying then
      end_replay(f, 'done')
      return 'done'
    end
  end
  if not f.replaying then
    start_listening(f, wanted(f))
  end
  return 'listening'
end

-- The server's clock was set back since this consumer's times were noted: none may lie farther ahead than it would now.
local function set_back(f)
  local key = consumer_key(f.id)
  if f.notBefore and f.notBefore > now then
    f.notBefore = now
    redis.call('HSET', key, 'notBefore', int(now))
  end
  if f.leaseUntil and f.leaseUntil > now + ctl.lease_ms then
    f.leaseUntil, f.leasedAt = now + ctl.lease_ms, now
    redis.call('HSET', key, 'leaseUntil', int(f.leaseUntil), 'leasedAt', int(now))
  end
  if f.retryFrom and f.retryFrom > now then
    f.retryFrom = now
    redis.call('HSET', key, 'retryFrom', int(now))
  end
  if f.errorAt and f.errorAt > now then redis.call('HSET', key, 'errorAt', int(now)) end
  local open = consumer_key(f.id, 'open')
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', open, '(' .. int(now), '(' .. int(NEVER))) do
    redis.call('ZADD', open, AT_ONCE, member)
  end
end

-- Stop a consumer; one that a worker has is let go at its next word.
local function stop(f, state, reason)
  f.state = state
  redis.call('HSET', consumer_key(f.id), 'state', state, 'reason', reason, 'wake', '', 'notBefore', '')
  redis.call('ZREM', P .. 'feeds:due', f.id)
  if not f.replaying then stop_listening(f, wanted(f)) end
end

-- The replay of a subscription that isn't over, if there is one; nothing and 'newer' where only a newer release knows.
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

-- Publish an event about the subscription that this consumer belongs to; it names the replay where the consumer is one.
local function publish_about(f, name, fields)
  fields.subscriptionId = f.owner
  if f.replaying then fields.replayId = string.match(f.id, '[^.]+$') end
  publish('delivery-operations', name, cjson.encode(fields))
end

-- Counted for the consumer, and for all subscriptions together (what a replay does, for itself only).
local function count(f, name, by)
  redis.call('HINCRBY', consumer_key(f.id, 'counters'), name, int(by))
  if not f.replaying then redis.call('HINCRBY', P .. 'feeds:totals', name, int(by)) end
end

-- Entries that are gone before they were handled.
local function note_missed(f, topic, first, last)
  local missed = f.missed and cjson.decode(f.missed) or {}
  local newest = missed[#missed]
  if newest and newest.topic == topic and newest.last + 1 == first then
    newest.last, newest.at = last, now
  else
    missed[#missed + 1] = { topic = topic, first = first, last = last, at = now }
    if #missed > LONGEST_MISSED then table.remove(missed, 1) end
  end
  f.missed = cjson.encode(missed)
  redis.call('HSET', consumer_key(f.id), 'missed', f.missed)
  count(f, 'missed', last - first + 1)
  publish_about(f, 'subscription-gap', { topic = topic, from = first, to = last })
end
