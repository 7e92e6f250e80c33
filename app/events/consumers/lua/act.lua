#!lua flags=allow-oom
-- Act: what operators do to a consumer. Its replay stops and goes on with it.
--
-- ARGV[1] {id, verb: pause | resume | cancel, reason, replay?}
-- Result  an error where a newer release made it; 1 where that changed anything, 0 where not;
--         nothing: there is no such consumer (cancel: replay)
-- include: _base.lua
-- include: _consumer.lua
-- include: _hash.lua
-- include: _scheduling.lua
-- include: _waking.lua

local f, why = load(ctl.id)
if why == 'newer' then return refuse_newer() end
if not f then return nil end
local replay, of_replay = open_replay(f)
if of_replay == 'newer' then return refuse_newer() end

if ctl.verb == 'cancel' then
  if f.replay ~= ctl.replay then return nil end
  if not replay then return 0 end
  stop(replay, 'cancelled', '')
  redis.call('HSET', consumer_key(replay.id), 'endedAt', int(now))
  return 1
end

local function pause(one)
  if one.state == 'paused' then return 0 end
  stop(one, 'paused', ctl.reason)
  return 1
end

-- Also out of disabled, with a clean sheet.
local function resume(one)
  if one.state == 'active' then return 0 end
  one.state, one.notBefore, one.retryFrom, one.failures, one.queue = 'active', nil, nil, 0, FAST
  if one.replaying then one.queue = SLOW end
  redis.call('HSET', consumer_key(one.id), 'state', 'active', 'reason', '', 'failures', '0', 'failingSince', '',
    'told', '', 'notBefore', '', 'retryFrom', '', 'probation', '', 'pace', '0', 'queue', one.queue)
  if one.token then
    -- A worker has it still, or died with it: either way the tick will see.
    redis.call('ZADD', P .. 'feeds:due', int(one.leaseUntil or now), one.id)
  else
    reschedule(one)
  end
  return 1
end

local verb = ctl.verb == 'pause' and pause or resume
if replay then verb(replay) end
return verb(f)
