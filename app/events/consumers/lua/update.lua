#!lua flags=allow-oom
-- Update: give a consumer another configuration, from the next call on. Topics that stay keep their place.
--
-- ARGV    as create has them
-- Result  an error where a newer release made it; 1, or 0 where there is no such consumer
-- include: _base.lua
-- include: _changing.lua
-- include: _consumer.lua
-- include: _hash.lua
-- include: _listening.lua
-- include: _scheduling.lua
-- include: _waking.lua

local f, why = load(ctl.id)
if why == 'newer' then return refuse_newer() end
if not f then return 0 end

-- What the old filter let by isn't delivered under the new one.
for _, one in ipairs(wanted(f)) do
  local handled = listens_to(f, one[1], one[2])
  if handled then pass_over(f.id, one[1], handled + 1) end
end
stop_listening(f, wanted(f))
f.revision = redis.call('HINCRBY', consumer_key(f.id), 'revision', 1)
configure(f)
run_also()
local replay = open_replay(f)
if replay then
  for _, topic in ipairs(redis.call('HKEYS', consumer_key(replay.id, 'cursor'))) do
    if redis.call('HEXISTS', consumer_key(f.id, 'cursor'), topic) == 0 then
      redis.call('HDEL', consumer_key(replay.id, 'cursor'), topic)
    end
  end
end
-- The reason for its rest may be gone. A worker that has it lets it go with its next acknowledgement.
for _, one in ipairs({ f, replay }) do
  if one.state == 'active' and not one.token and not one.wake then
    one.notBefore, one.retryFrom = nil, nil
    redis.call('HSET', consumer_key(one.id), 'notBefore', '', 'retryFrom', '')
    reschedule(one)
  end
end
return 1
