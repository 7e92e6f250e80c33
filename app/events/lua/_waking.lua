-- Who follows a topic is woken in the script that writes to it; where many do, that script only notes that there is news, and
-- sends one message for all of them.
--
-- `log:{topic}:listeners` holds the consumers that *listen* to all of a topic, `log:{topic}:listeners:{name}` those that want this
-- name among others: idle ones that have handled everything there is. One that is awake, worked on, resting, paused or gone
-- isn't in it, so that under load an entry costs a look at keys that aren't there. A member is `{consumer id}`, or
-- `{consumer id}|name|name|` (the same in the set of each of its names); its score is the sequence up to which it had handled
-- all when it began to listen.
-- `log:{topic}:news`: name (`*`: of those who want all) → `first latest`: sequences of which not all listeners were told yet.
-- Whoever of them has a lower score than `latest` is still to be woken, by fan_out.lua.
-- include: _base.lua

local WAKE_MS = 5000 -- a wake-up that wasn't taken for so long is looked for by the tick
local AT_MOST = 24 -- consumers that one script wakes (45 to 70 microseconds each)
local ALL = '*'
local wakes_left = AT_MOST

-- The message of a consumer's n-th wake-up: the same bytes each time, so that it can be looked for in its queue.
local function wake_message(template, id, n)
  local name = id .. '-' .. n
  return fill(template, { ['@@ID1@@'] = name, ['@@TAG@@'] = name, ['@@ARG@@'] = id })
end

-- Note that a consumer is awake, and tell a worker. The caller has seen that it may be and isn't.
local function wake_consumer(id, queue)
  local key = P .. 'feed:' .. id
  local n = redis.call('HINCRBY', key, 'wakes', 1)
  redis.call('HSET', key, 'wake', int(now), 'notBefore', '')
  redis.call('ZADD', P .. 'feeds:due', int(now + WAKE_MS), id)
  local template = redis.call('HGET', P .. 'feeds:messages', queue)
  -- Without one the tick, which writes the templates, makes it good.
  if template then redis.call('LPUSH', P .. queue, wake_message(template, id, int(n))) end
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

-- The first event, or one before it, that a listener to these names wants and wasn't woken for yet; nil where there is none.
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

-- What a filter lets by isn't noted by anybody. Who listens has handled all that it wants, so that on this topic nothing before
-- this event is missing to it, even if retention removes that before a worker looks.
local function pass_over(id, topic, sequence)
  local key = P .. 'feed:' .. id .. ':cursor'
  local at = tonumber(redis.call('HGET', key, topic) or sequence)
  if at < sequence - 1 then redis.call('HSET', key, topic, int(sequence - 1)) end
end

-- Wake one that listens to an event of this sequence. It leaves the sets last: should the script break off before, it is
-- awake for nothing, instead of neither awake nor listening.
local function wake_listener(topic, member, score, sequence)
  local id, names = read_listener(member)
  local f = redis.call('HMGET', P .. 'feed:' .. id, 'state', 'wake', 'token', 'notBefore', 'queue')
  if f[1] and names[1] ~= ALL then
    pass_over(id, topic, math.min(sequence, first_news(topic, names, score) or sequence))
  end
  -- It may have been woken through another of its topics since.
  if f[1] == 'active' and (f[2] or '') == '' and (f[3] or '') == '' and (f[4] or '') == '' then
    wake_consumer(id, f[5] or 'deliveries')
  end
  for _, name in ipairs(names) do redis.call('ZREM', listeners_key(topic, name), member) end
end

-- The message that has a topic's listeners woken: the same bytes each time.
local function fan_out_message(template, topic, called)
  local name = 'fan-out-' .. topic .. '-' .. called
  return fill(template, { ['@@ID1@@'] = name, ['@@TAG@@'] = name, ['@@ARG@@'] = topic })
end

-- Leave it to a worker to wake those who listen. One message a topic is outstanding, whether or not anybody takes it.
local function note_news(topic, name, sequence)
  local before = redis.call('HGET', news_key(topic), name)
  local first = before and string.match(before, '^%d+') or int(sequence)
  redis.call('HSET', news_key(topic), name, first .. ' ' .. int(sequence))
  redis.call('SADD', P .. 'feeds:news', topic)
  if redis.call('HSETNX', P .. 'feeds:called', topic, int(now)) == 1 then
    local template = redis.call('HGET', P .. 'feeds:messages', 'fan_out')
    if template then redis.call('LPUSH', P .. 'deliveries', fan_out_message(template, topic, int(now))) end
  end
end

-- Wake whoever listens to an event that is about to be appended. Before it is: should the script break off in between, a consumer is
-- awake for nothing, instead of one listening that has missed something.
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
