-- What a consumer publishes about itself.
-- include: _base.lua
-- include: _consumer.lua
-- include: _log.lua

local LONGEST_MISSED = 20

-- Publish an event about the subscription that this consumer belongs to; it names the replay where the
-- consumer is one.
local function publish_about(f, name, fields)
  fields.subscriptionId = f.owner
  if f.replaying then fields.replayId = string.match(f.id, '[^.]+$') end
  publish('delivery-operations', name, cjson.encode(fields))
end

-- Note entries that retention removed before they were handled.
local function note_missed(f, topic, first, last)
  local missed = f.missed and cjson.decode(f.missed) or {}
  local newest = missed[#missed]
  if newest and newest.topic == topic and newest.last + 1 == first then
    newest.last, newest.at = last, now
  else
    missed[#missed + 1] = { topic = topic, first = first, last = last, at = now }
    if #missed > LONGEST_MISSED then table.remove(missed, 1) end
  end
  f.missed = cjson.encode(missed)
  redis.call('HSET', consumer_key(f.id), 'missed', f.missed)
  count(f, 'missed', last - first + 1)
  publish_about(f, 'subscription-gap', { topic = topic, from = first, to = last })
end
