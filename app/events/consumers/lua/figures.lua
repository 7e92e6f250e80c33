#!lua flags=no-writes
-- Figures: how some of the subscriptions' consumers are doing, for monitoring.
--
-- ARGV[1] {from: place in `feeds`, limit}
-- Result  for each {id, state, behind, open, parked}; fewer than `limit` at the end.
--         state: `failing` where it is active and `subscription-failing` was published; '' for one that only a
--         newer release knows. behind: events of its topics that aren't handled yet
-- include: _base.lua
-- include: _consumer.lua
-- include: _entries.lua

local last = {} -- topic → its newest sequence

local function behind_of(f)
  -- A consumer that listens has handled all that it wants; what its filter lets by isn't behind it.
  if f.state == 'active' and not (f.wake or f.token or f.notBefore) then return 0 end
  local behind = 0
  for topic, at in pairs(pairs_of(consumer_key(f.id, 'cursor'))) do
    last[topic] = last[topic] or last_of(topic)
    behind = behind + math.max(0, last[topic] - at)
  end
  return behind
end

local rows = {}
for i, id in ipairs(redis.call('ZRANGE', P .. 'feeds', ctl.from, ctl.from + ctl.limit - 1)) do
  local f = load(id)
  if f then
    local open = redis.call('ZCARD', consumer_key(id, 'open'))
    rows[i] = { id, f.state == 'active' and f.told and 'failing' or f.state, behind_of(f) + open, open,
      redis.call('ZCARD', consumer_key(id, 'parked')) }
  else
    rows[i] = { id, '', 0, 0, 0 }
  end
end
return rows
