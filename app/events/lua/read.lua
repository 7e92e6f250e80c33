#!lua flags=no-writes
-- Read: entries of a topic after a sequence, as many as fit; those of other names are passed over.
--
-- ARGV[1] {topic, after (-1: from the oldest there is), names: {name: true} or false, limit, max_bytes, max_looked}
-- Result  {last, oldest (0: the log is empty), looked until, name, guid, sequence, at, event, …}
--         `last` is the newest sequence ever given; there is always one entry at least, whatever its size
-- include: _base.lua

local log = P .. 'log:' .. ctl.topic
local last = tonumber(redis.call('GET', log .. ':sequence') or 0)
local function sequence_of(entry) return tonumber(string.match(entry[1], '^%d+')) end

local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
local oldest = first and sequence_of(first) or 0
-- What lies before the oldest is gone. A place after the newest is one of a log's life before it was restored.
local position = ctl.after
if position < 0 or position < oldest - 1 then position = math.max(oldest - 1, 0) end
if not first or position > last then return { last, oldest, last } end

local result = { last, oldest, position }
local taken, bytes, looked, chunk = 0, 0, 0, 8
while true do
  local entries = redis.call('XRANGE', log, int(position + 1) .. '-0', '+', 'COUNT', chunk)
  for _, entry in ipairs(entries) do
    local values = {}
    for i = 1, #entry[2], 2 do values[entry[2][i]] = entry[2][i + 1] end
    if not ctl.names or ctl.names[values.name] then
      if taken > 0 and bytes + #values.event > ctl.max_bytes then return result end
      local n = #result
      result[n + 1], result[n + 2], result[n + 3] = values.name, values.guid, sequence_of(entry)
      result[n + 4], result[n + 5] = tonumber(values.at), values.event
      taken, bytes = taken + 1, bytes + #values.event
    end
    position = sequence_of(entry)
    result[3] = position
    looked = looked + 1
    if taken >= ctl.limit or looked >= ctl.max_looked then return result end
  end
  if #entries < chunk then
    -- Everything there is has been looked at; what was removed at the end counts as looked at too.
    result[3] = last
    return result
  end
  chunk = 32
end
