-- What creating and changing a feed have in common.
-- include: _feeds.lua

local function configure(f)
  redis.call('HSET', feed_key(f.id), 'topics', ARGV[2], 'sink', ARGV[3], 'secrets', ARGV[4], 'ordered', ctl.ordered,
    'slots', int(ctl.slots))
  local cursor = feed_key(f.id, 'cursor')
  local kept = {}
  for _, one in ipairs(ctl.topics) do
    local topic = one[1]
    kept[topic] = true
    -- What was gone before it began it hasn't missed.
    local start = math.max(ctl.start[topic] or NEVER, before_oldest(topic))
    redis.call('HSETNX', cursor, topic, int(math.min(start, last_of(topic))))
  end
  for _, topic in ipairs(redis.call('HKEYS', cursor)) do
    if not kept[topic] then redis.call('HDEL', cursor, topic) end
  end
  for _, topic in ipairs(redis.call('HKEYS', feed_key(f.id, 'previous'))) do
    if not kept[topic] then redis.call('HDEL', feed_key(f.id, 'previous'), topic) end
  end
  -- What was to be tried again of a topic that isn't wanted any more.
  local open = feed_key(f.id, 'open')
  for _, member in ipairs(redis.call('ZRANGE', open, 0, -1)) do
    if not kept[string.match(member, '^[^|]+')] then redis.call('ZREM', open, member) end
  end
end

local function run_also()
  for _, command in ipairs(ctl.also) do
    local words = {}
    for i, n in ipairs(command) do words[i] = ARGV[n + 4] end
    redis.call(unpack(words))
  end
end
