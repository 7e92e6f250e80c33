-- Consumers that listen to topics: members of the sets that `_waking.lua` describes.
-- include: _base.lua
-- include: _entries.lua
-- include: _waking.lua

local function listener(f, names)
  if #names == 0 then return f.id end
  return f.id .. '|' .. table.concat(names, '|') .. '|'
end

-- The sets of a topic in which a consumer that wants these names stands.
local function sets_of(topic, names)
  if #names == 0 then return { listeners_key(topic, ALL) } end
  local keys = {}
  for i, name in ipairs(names) do keys[i] = listeners_key(topic, name) end
  return keys
end

local function start_listening(f, topics)
  for _, one in ipairs(topics) do
    local topic, names = one[1], one[2]
    for _, key in ipairs(sets_of(topic, names)) do
      redis.call('ZADD', key, int(last_of(topic)), listener(f, names))
    end
  end
end

local function stop_listening(f, topics)
  for _, one in ipairs(topics) do
    for _, key in ipairs(sets_of(one[1], one[2])) do redis.call('ZREM', key, listener(f, one[2])) end
  end
end

-- Up to which sequence one that listens to a topic has handled, or doesn't want, all there is: nil where it
-- doesn't listen.
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
