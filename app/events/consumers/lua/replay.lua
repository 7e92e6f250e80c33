#!lua
-- Replay: make a second consumer, which delivers once more what the subscription has handled since a place
-- in the log.
--
-- ARGV[1] {id, replay, start: {topic: sequence}, since (ms)}
-- Result  an error where a newer release made it; "ok" | "busy": one is under way
--         | "stopped": the subscription is paused or disabled | nothing: there is no such subscription
-- include: _base.lua
-- include: _consumer.lua
-- include: _entries.lua
-- include: _hash.lua
-- include: _scheduling.lua
-- include: _waking.lua

local f, why = load(ctl.id)
if why == 'newer' then return refuse_newer() end
if not f then return nil end
if f.state ~= 'active' then return 'stopped' end
local before, of_before = open_replay(f)
if of_before == 'newer' then return refuse_newer() end
if before then return 'busy' end
if f.replay then forget_consumer({ id = f.replay }) end

-- The live delivery delivers what it hasn't handled yet anyway.
local from, bound, id, reaches = {}, {}, f.id .. '.replay.' .. ctl.replay, nil
local cursor = pairs_of(consumer_key(f.id, 'cursor'))
for topic, at in pairs(cursor) do
  local start = ctl.start[topic]
  if start then
    local gone, oldest_at = before_oldest(topic)
    -- How far the log goes back, where that may be less far than was asked for.
    if start <= gone and gone > 0 then reaches = math.max(reaches or 0, oldest_at or now) end
    from[topic], bound[topic] = math.min(math.max(start, gone), at), at
    redis.call('HSET', consumer_key(id, 'cursor'), topic, int(from[topic]))
  end
end
redis.call('HSET', consumer_key(id), 'schema', '1', 'state', 'active', 'owner', f.id, 'revision', '0',
  'queue', SLOW,
  'from', cjson.encode(from), 'until', cjson.encode(bound), 'since', int(ctl.since), 'createdAt', int(now),
  'reaches', reaches and int(reaches) or '')
redis.call('HSET', consumer_key(f.id), 'replay', id)
reschedule(load(id))
return 'ok'
