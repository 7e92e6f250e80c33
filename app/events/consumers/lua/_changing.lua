-- What creating and changing a consumer have in common.
-- include: _base.lua
-- include: _clock.lua
-- include: _consumer.lua
-- include: _entries.lua

-- Forget all that belongs to topics that aren't kept: should one be put back, it begins anew.
local function forget_topics(f, kept)
  local function keep_of(part, command, members)
    for _, member in ipairs(members) do
      local topic = string.match(member, '^[^|]+')
      if not kept[topic] then redis.call(command, consumer_key(f.id, part), member) end
    end
  end
  for _, topic in ipairs(redis.call('HKEYS', consumer_key(f.id, 'cursor'))) do
    if not kept[topic] then redis.call('HDEL', consumer_key(f.id), 'began:' .. topic) end
  end
  keep_of('cursor', 'HDEL', redis.call('HKEYS', consumer_key(f.id, 'cursor')))
  keep_of('previous', 'HDEL', redis.call('HKEYS', consumer_key(f.id, 'previous')))
  keep_of('ahead', 'SREM', redis.call('SMEMBERS', consumer_key(f.id, 'ahead')))
  keep_of('attempts', 'HDEL', redis.call('HKEYS', consumer_key(f.id, 'attempts')))
  keep_of('open', 'ZREM', redis.call('ZRANGE', consumer_key(f.id, 'open'), 0, -1))
end

local function configure(f)
  redis.call('HSET', consumer_key(f.id), 'topics', ARGV[2], 'sink', ARGV[3], 'secrets', ARGV[4],
    'ordered', ctl.ordered, 'slots', int(ctl.slots))
  local cursor = consumer_key(f.id, 'cursor')
  local kept = {}
  for _, one in ipairs(ctl.topics) do
    local topic = one[1]
    kept[topic] = true
    -- Entries that were gone before the topic was wanted aren't missed.
    local start = math.max(ctl.start[topic] or NEVER, (before_oldest(topic)))
    local new = redis.call('HSETNX', cursor, topic, int(math.min(start, last_of(topic)))) == 1
    -- An acknowledgement of a worker that knows an older revision means another place.
    if new and f.revision then redis.call('HSET', consumer_key(f.id), 'began:' .. topic, int(f.revision)) end
  end
  forget_topics(f, kept)
end

local function run_also()
  for _, command in ipairs(ctl.also) do
    local words = {}
    for i, n in ipairs(command) do words[i] = ARGV[n + 4] end
    redis.call(unpack(words))
  end
end
