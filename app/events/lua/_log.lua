-- The event log: one stream per topic; the ids of its entries are the topic's sequence. A script that
-- changes something publishes the event about it in the same call, and wakes the consumers that listen to
-- the topic.
-- include: _base.lua
-- include: _waking.lua

local woken = {} -- topics and names whose listeners this call has woken already

-- Append an event, byte for byte as it is given. Returns its sequence.
local function append(topic, name, guid, raw)
  local sequence = redis.call('INCR', P .. 'log:' .. topic .. ':sequence')
  local what = topic .. '|' .. name
  if not woken[what] then
    woken[what] = true
    wake_consumers(topic, name, sequence)
  end
  redis.call('XADD', P .. 'log:' .. topic, 'MAXLEN', '~', int(ctl.log_length or 1000000),
    int(sequence) .. '-0', 'event', raw, 'name', name, 'guid', guid, 'at', int(now))
  return sequence
end

-- Publish what this system itself did. `fields`: a JSON object with the members of the event's family.
local function publish(topic, name, fields)
  local guid = uuid()
  local envelope = cjson.encode({ eventName = name, originator = 'mediaops-sync', tenant = P:sub(1, -2),
    timestamp = iso(now), guid = guid })
  -- `versions` is written by hand: cjson would write an empty list as an object.
  append(topic, name, guid, envelope:sub(1, -2) .. ',"versions":["1.0"]'
    .. (fields == '{}' and '}' or (',' .. fields:sub(2))))
end
