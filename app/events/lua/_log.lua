-- The event log: one stream per topic, whose ids are its sequence. Whatever happens is appended in the script that
-- makes it true, and whoever follows the topic is woken in the same script.
-- include: _base.lua
-- include: _waking.lua

local told = {} -- topics and names whose followers this call has woken already

-- An event as it stands, byte for byte; its sequence.
local function append(topic, name, guid, raw)
  local sequence = redis.call('INCR', P .. 'log:' .. topic .. ':sequence')
  local what = topic .. '|' .. name
  if not told[what] then
    told[what] = true
    wake_consumers(topic, name, sequence)
  end
  redis.call('XADD', P .. 'log:' .. topic, 'MAXLEN', '~', int(ctl.log_length or 1000000), int(sequence) .. '-0',
    'event', raw, 'name', name, 'guid', guid, 'at', int(now))
  return sequence
end

-- Something that this system itself did; `fields` is a JSON object of the family's members.
local function log(topic, name, fields)
  local guid = uuid()
  local envelope = cjson.encode({ eventName = name, originator = 'mediaops-sync', tenant = P:sub(1, -2),
    timestamp = iso(now), guid = guid })
  -- `versions` by hand: cjson writes an empty list as an object, and this one must stay a list.
  append(topic, name, guid, envelope:sub(1, -2) .. ',"versions":["1.0"]'
    .. (fields == '{}' and '}' or (',' .. fields:sub(2))))
end
