-- Who follows a topic is woken in the script that writes to it.
--
-- `log:{topic}:feeds` holds the feeds that *listen*: idle ones that have handled everything there is. One that is awake,
-- worked on, resting, paused or gone isn't in it, so that under load an entry costs one look at a key that isn't there.
-- A member is `{feed id}`, or `{feed id}|name|name|` of a feed that wants only these events.
-- include: _base.lua

local WAKE_MS = 5000 -- a wake-up that wasn't taken for so long is looked for by the tick

-- The message of a feed's n-th wake-up: the same bytes each time, so that it can be looked for in its queue.
local function wake_message(template, id, n)
  local name = id .. '-' .. n
  return fill(template, { ['@@ID1@@'] = name, ['@@TAG@@'] = name, ['@@ARG@@'] = id })
end

-- Note that a feed is awake, and tell a worker. The caller has seen that it may be and isn't.
local function wake_feed(id, queue)
  local key = P .. 'feed:' .. id
  local n = redis.call('HINCRBY', key, 'wakes', 1)
  redis.call('HSET', key, 'wake', int(now), 'notBefore', '')
  redis.call('ZADD', P .. 'feeds:due', int(now + WAKE_MS), id)
  local template = redis.call('HGET', P .. 'feeds:messages', queue)
  -- Without one the tick, which writes the templates, makes it good.
  if template then redis.call('LPUSH', P .. queue, wake_message(template, id, int(n))) end
end

-- What a filter lets by isn't noted by anybody. Who listens has handled all that it wants, so that on this topic nothing before
-- this event is missing to it, even if retention removes that before a worker looks.
local function pass_over(id, topic, sequence)
  local key = P .. 'feed:' .. id .. ':cursor'
  local at = tonumber(redis.call('HGET', key, topic) or sequence)
  if at < sequence - 1 then redis.call('HSET', key, topic, int(sequence - 1)) end
end

-- Wake whoever listens to an event that is about to be appended. Before it is: should the script break off in between, a feed is
-- awake for nothing, instead of one listening that has missed something.
local function wake_feeds(topic, name, sequence)
  local key = P .. 'log:' .. topic .. ':feeds'
  for _, member in ipairs(redis.call('SMEMBERS', key)) do
    local id, names = string.match(member, '^([^|]+)(.*)$')
    if names == '' or string.find(names, '|' .. name .. '|', 1, true) then
      redis.call('SREM', key, member)
      local f = redis.call('HMGET', P .. 'feed:' .. id, 'state', 'wake', 'token', 'notBefore', 'queue')
      if f[1] and names ~= '' then pass_over(id, topic, sequence) end
      -- It may have been woken through another of its topics since.
      if f[1] == 'active' and (f[2] or '') == '' and (f[3] or '') == '' and (f[4] or '') == '' then
        wake_feed(id, f[5] or 'deliveries')
      end
    end
  end
end
