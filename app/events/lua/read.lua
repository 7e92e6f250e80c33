#!lua flags=no-writes
-- Read: entries of a topic after a sequence, as many as fit, without those of other names.
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
-- Entries before the oldest are gone. A place after the newest is from a life of the log before it was
-- restored.
local position = ctl.after
if position < 0 or position < oldest - 1 then position = math.max(oldest - 1, 0) end
if not first or position > last then return { last, oldest, last } end

local result = { last, oldest, position }
local names, limit, max_bytes, max_looked = ctl.names, ctl.limit, ctl.max_bytes, ctl.max_looked
local taken, bytes, looked, chunk, n = 0, 0, 0, 8, 3
while true do
  local entries = redis.call('XRANGE', log, int(position + 1) .. '-0', '+', 'COUNT', chunk)
  for _, entry in ipairs(entries) do
    local fields = entry[2] -- as _log.lua writes them: event, name, guid, at
    local event, name = fields[2], fields[4]
    local sequence = string.sub(entry[1], 1, -3)
    if not names or names[name] then
      if taken > 0 and bytes + #event > max_bytes then return result end
      local guid, at = fields[6], fields[8]
      result[n + 1], result[n + 2], result[n + 3], result[n + 4], result[n + 5] = name, guid, sequence, at, event
      n, taken, bytes = n + 5, taken + 1, bytes + #event
    end
    position = sequence
    result[3] = position
    looked = looked + 1
    if taken >= limit or looked >= max_looked then return result end
  end
  if #entries < chunk then
    -- Everything there is has been looked at; what was removed at the end counts as looked at too.
    result[3] = last
    return result
  end
  chunk = 32
end
