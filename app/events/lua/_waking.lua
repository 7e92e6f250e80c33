-- A script that writes to a topic wakes the consumers that listen to it. Where many listen, it only notes
-- that there is news and sends one message for all of them.
--
-- `log:{topic}:listeners` holds the consumers that *listen* to all of a topic,
-- `log:{topic}:listeners:{name}` those that want this name among others: idle ones that have handled
-- everything there is. A consumer that is awake, taken, resting, stopped or gone isn't in it, so that under
-- load an entry costs a look at keys that don't exist. A member is `{consumer id}`, or `{consumer
-- id}|name|name|` (the same in the set of each of its names); its score is the sequence up to which the
-- consumer had handled all when it began to listen.
-- `log:{topic}:news`: name (`*`: of those that want all) → `first latest`, the sequences for which not all
-- listeners were woken yet. fan_out.lua wakes those whose score is lower than `latest`.
-- include: _base.lua
-- include: _messages.lua

local WAKE_MS = 5000 -- the tick looks for a wake-up that nobody has taken for so long
local AT_MOST = 24 -- consumers that one script wakes (45 to 70 microseconds each)
local ALL = '*'
local FAST = 'deliveries' -- queue of the consumers that keep up
local SLOW = 'deliveries-slow' -- of those that fail, are slow, or have a backlog to work off
local wakes_left = AT_MOST

-- The message of a consumer's n-th wake-up: the same bytes each time, so that it can be looked for in its
-- queue.
local function wake_message(queue, id, n) return message(queue, id .. '-' .. n, id) end

-- Note that a consumer is awake, and send a message to a worker. The caller has seen that it may be awake
-- and isn't.
local function wake_consumer(id, queue)
  local key = P .. 'feed:' .. id
  local n = redis.call('HINCRBY', key, 'wakes', 1)
  redis.call('HSET', key, 'wake', int(now), 'notBefore', '')
  redis.call('ZADD', P .. 'feeds:due', int(now + WAKE_MS), id)
  -- A queue that only a newer release knows is left to its tick.
  if TEMPLATES[queue] then redis.call('LPUSH', P .. queue, wake_message(queue, id, int(n))) end
end

local function listeners_key(topic, name)
  local key = P .. 'log:' .. topic .. ':listeners'
  return name == ALL and key or key .. ':' .. name
end

local function news_key(topic) return P .. 'log:' .. topic .. ':news' end

-- A listener's consumer, and the names under which it is a member.
local function read_listener(member)
  local id, rest = string.match(member, '^([^|]+)(.*)$')
  if rest == '' then return id, { ALL } end
  local names = {}
  for name in string.gmatch(rest, '[^|]+') do names[#names + 1] = name end
  return id, names
end

-- The first event, or one before it, that a listener to these names wants and wasn't woken for yet; nil
-- where there is none.
local function first_news(topic, names, score)
  local found
  for _, news in ipairs(redis.call('HMGET', news_key(topic), unpack(names))) do
    local first, latest = string.match(news or '', '^(%d+) (%d+)$')
    if first and tonumber(latest) > score then
      found = math.min(found or tonumber(first), tonumber(first))
    end
  end
  return found
end

-- Nobody notes what a filter lets by. A consumer that listens has handled all that it wants: nothing before
-- this event is missing to it on this topic, even if retention removes entries before a worker looks.
local function pass_over(id, topic, sequence)
  local key = P .. 'feed:' .. id .. ':cursor'
  local at = tonumber(redis.call('HGET', key, topic) or sequence)
  if at < sequence - 1 then redis.call('HSET', key, topic, int(sequence - 1)) end
end

-- Wake a consumer that listens, for an event of this sequence. It leaves the sets last: should the script
-- break off before, the consumer is awake for nothing, instead of neither awake nor listening.
local function wake_listener(topic, member, score, sequence)
  local id, names = read_listener(member)
  local fields = redis.call('HMGET', P .. 'feed:' .. id, 'state', 'queue', 'wake', 'token', 'notBefore')
  local state, queue = fields[1], fields[2]
  local idle = (fields[3] or '') == '' and (fields[4] or '') == '' and (fields[5] or '') == ''
  if state and names[1] ~= ALL then
    pass_over(id, topic, math.min(sequence, first_news(topic, names, score) or sequence))
  end
  -- Another of its topics may have woken it since.
  if state == 'active' and idle then wake_consumer(id, queue or FAST) end
  for _, name in ipairs(names) do redis.call('ZREM', listeners_key(topic, name), member) end
end

-- The message with which a worker wakes a topic's listeners: the same bytes each time.
local function fan_out_message(topic, called)
  return message('fan_out', 'fan-out-' .. topic .. '-' .. called, topic)
end

-- Leave it to a worker to wake the listeners. One message a topic is outstanding, whether or not anybody
-- takes it.
local function note_news(topic, name, sequence)
  local before = redis.call('HGET', news_key(topic), name)
  local first = before and string.match(before, '^%d+') or int(sequence)
  redis.call('HSET', news_key(topic), name, first .. ' ' .. int(sequence))
  redis.call('SADD', P .. 'feeds:news', topic)
  if redis.call('HSETNX', P .. 'feeds:called', topic, int(now)) == 1 then
    redis.call('LPUSH', P .. FAST, fan_out_message(topic, int(now)))
  end
end

-- Wake the listeners to an event that is about to be appended. Before, so that a script that breaks off in
-- between leaves a consumer awake for nothing, instead of one that listens and has missed something.
local function wake_consumers(topic, name, sequence)
  for _, of in ipairs({ ALL, name }) do
    local key = listeners_key(topic, of)
    local count = redis.call('ZCARD', key)
    if count > wakes_left then
      note_news(topic, of, sequence)
    elseif count > 0 then
      wakes_left = wakes_left - count
      local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
      for i = 1, #members, 2 do wake_listener(topic, members[i], tonumber(members[i + 1]), sequence) end
    end
  end
end
