-- A consumer's `open` set: events that it has taken out of the log's order and that aren't over. The score
-- says when each is tried again.
-- include: _base.lua
-- include: _clock.lua
-- include: _consumer.lua

local AT_ONCE = 0 -- as a score: due, whatever the clock says
local HELD = NEVER -- as a score: a worker has it; the next worker that claims the consumer finds it
-- Events of an unordered consumer that are under way or wait for a retry, while its first tries fail: then
-- one new event at a time finds out whether it is over, and with twice as many none is begun.
local MOST_OPEN = 2000

-- When the first event is due: nil where there is none. What a dead worker held is due now.
local function open_due(f)
  local key = consumer_key(f.id, 'open')
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if not head[2] then return nil end
  if redis.call('ZCOUNT', key, int(HELD), '+inf') > 0 then return now end
  return math.max(tonumber(head[2]), f.retryFrom or 0)
end

-- How many events wait for a retry, due or not.
local function waiting(f)
  return redis.call('ZCOUNT', consumer_key(f.id, 'open'), '-inf', '(' .. int(HELD))
end

local function is_full(f)
  if f.ordered == '1' or (f.failures or 0) == 0 then return false end
  return redis.call('ZCARD', consumer_key(f.id, 'open')) >= 2 * MOST_OPEN
end
