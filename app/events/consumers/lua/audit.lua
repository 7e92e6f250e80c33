#!lua flags=allow-oom
-- Audit: put every consumer where its state says it is. One that listens and whose filter let much by moves
-- on to the log's end.
--
-- ARGV[1] {from: place in `feeds`, limit, passed: entries that a listening consumer may lag behind}
-- Result  {mended, looked at}: fewer than `limit` at the end
-- include: _base.lua
-- include: _consumer.lua
-- include: _entries.lua
-- include: _listening.lua
-- include: _open.lua
-- include: _scheduling.lua
-- include: _set_back.lua

local function is_listening(f, topics)
  for _, one in ipairs(topics) do
    if not listens_to(f, one[1], one[2]) then return false end
  end
  return true
end

local oldest = {} -- topic → the sequence before its oldest entry, once it was asked for

-- Nobody notes what a filter lets by. The place moves on while the log still has twice as much, so that
-- retention doesn't overtake it and events that were never wanted don't count as missed. Without a filter
-- there is nothing to let by: an entry after the place is one that the consumer wasn't woken for, such as
-- one of a release that knew other sets of listeners.
local function lags(f, topics)
  local cursor = pairs_of(consumer_key(f.id, 'cursor'))
  for _, one in ipairs(topics) do
    local topic, at, last = one[1], cursor[one[1]] or 0, last_of(one[1])
    if last < at or last - at >= ctl.passed then return true end
    if last > at then
      oldest[topic] = oldest[topic] or before_oldest(topic)
      if (last - at) * 2 >= last - oldest[topic] then return true end
      local after = P .. 'log:' .. topic
      if #one[2] == 0 and redis.call('XRANGE', after, int(at + 1) .. '-0', '+', 'COUNT', 1)[1] then return true end
    end
  end
  return false
end

local mended = 0
local ids = redis.call('ZRANGE', P .. 'feeds', ctl.from, ctl.from + ctl.limit - 1)

local function audit(f)
  if f.state ~= 'active' then return end
  local due = redis.call('ZSCORE', P .. 'feeds:due', f.id)
  -- The clock may have gone forth and back between two ticks.
  local leased_at, rested_at = f.token and f.leasedAt or 0, f.notBefore and f.notBeforeAt or 0
  local ahead = math.max(leased_at, rested_at, f.wake or 0, f.errorAt or 0) > now
  if ahead then set_back(f) end
  if f.token or f.wake or f.notBefore or (ahead and due) then
    if due and not ahead then return end
    -- A script that broke off has left it where no tick looks.
    redis.call('ZADD', P .. 'feeds:due', int(now), f.id)
    mended = mended + 1
    return
  end
  local well
  if f.replaying then
    well = due
  else
    local topics = wanted(f)
    well = is_listening(f, topics) and not lags(f, topics) and (due or not open_due(f))
  end
  if not well then
    reschedule(f)
    mended = mended + 1
  end
end

for _, id in ipairs(ids) do
  local f, why = load(id)
  if f then
    audit(f)
    local replay = open_replay(f)
    if replay then audit(replay) end
  elseif why == 'absent' then
    redis.call('ZREM', P .. 'feeds', id)
  end
end
return { mended, #ids }
