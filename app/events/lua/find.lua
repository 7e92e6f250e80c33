#!lua flags=no-writes
-- Find: how far a topic's log had come at a time, by bisection in some twenty looks, since ids are
-- sequences and times grow with them. Where the server's clock was set back, one of the places that fit.
--
-- ARGV[1] {topic, since (ms)}
-- Result  the sequence before the first entry that isn't older; the last one where all are
-- include: _base.lua

local log = P .. 'log:' .. ctl.topic
local last = tonumber(redis.call('GET', log .. ':sequence') or 0)

-- The first entry from a sequence on, and whether it was published at or after the time.
local function look(sequence)
  local entry = redis.call('XRANGE', log, int(sequence) .. '-0', '+', 'COUNT', 1)[1]
  if not entry then return nil, true end
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'at' then
      return tonumber(string.match(entry[1], '^%d+')), tonumber(entry[2][i + 1]) >= ctl.since
    end
  end
  return nil, true
end

local first = look(0)
if not first then return last end
local low, high = first, last + 1 -- the wanted entry is in [low, high]; high: none is
while low < high do
  local middle = math.floor((low + high) / 2)
  local found, late = look(middle)
  if late then high = middle else low = found + 1 end
end
return low - 1
