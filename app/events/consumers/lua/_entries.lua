-- What stands in a topic's log, and where a consumer's way on it ends.
-- include: _base.lua

local function last_of(topic) return tonumber(redis.call('GET', P .. 'log:' .. topic .. ':sequence') or 0) end

local function sequence_of(entry) return tonumber(string.match(entry[1], '^%d+')) end

-- An entry's event, name, guid and time: in the order in which `append` writes them, or another.
local function values_of(entry)
  local v = entry[2]
  if v[1] == 'event' and v[3] == 'name' and v[5] == 'guid' and v[7] == 'at' then
    return v[2], v[4], v[6], v[8]
  end
  local values = {}
  for i = 1, #v, 2 do values[v[i]] = v[i + 1] end
  return values.event, values.name, values.guid, values.at
end

-- The sequence before the oldest entry: entries up to it are gone. And when the oldest was published.
local function before_oldest(topic)
  local oldest = redis.call('XRANGE', P .. 'log:' .. topic, '-', '+', 'COUNT', 1)[1]
  if not oldest then return last_of(topic), nil end
  local _, _, _, at = values_of(oldest)
  return sequence_of(oldest) - 1, tonumber(at)
end

-- The sequence up to which a consumer may go on a topic for now; a replay has a bound of its own.
local function target(f, topic)
  local last = last_of(topic)
  if f.bound then return math.min(f.bound[topic] or 0, last) end
  return last
end
