#!lua flags=allow-oom
-- Claim: give a worker a consumer that is awake, with the first events that there are to deliver.
--
-- ARGV[1] {id, token, known (revision whose configuration the worker has, 0: none),
--          read: {limit, max_bytes, open_limit}, lease_ms}
-- Result  {"no"} | {"idle"}: nothing was there, it listens again
--         | {"ok", now, owner, revision, ordered, slots, failures, failingSince, pace, queue, probation, waiting,
--            ahead, items, position, more, sink, secrets} with the last two empty where `known` is right;
--            `waiting`: how many events wait for a retry
--         items: {topic, sequence, previous, name, guid, at, member, tries, event}
--         position: {topic, at, previous}
-- include: _base.lua
-- include: _consumer.lua
-- include: _lease.lua
-- include: _open.lua
-- include: _reading.lua
-- include: _scheduling.lua
-- include: _waking.lua

local f = load(ctl.id)
if not f or f.state ~= 'active' then return { 'no' } end
-- The tick looks after a lease that was given before the clock was set back.
if f.token and f.leaseUntil and f.leaseUntil > now then return { 'no' } end
if f.notBefore and f.notBefore > now and (f.notBeforeAt or 0) <= now then return { 'no' } end
local owner = f
if f.replaying then owner = load(f.owner) end
if not owner then
  forget_consumer(f)
  return { 'no' }
end

f.token = ctl.token
redis.call('HSET', consumer_key(f.id), 'token', ctl.token, 'wake', '', 'notBefore', '', 'turn', '0')
f.wake, f.notBefore = nil, nil
f.ordered, f.slots = owner.ordered, owner.slots
take_lease(f)
-- What the worker before has left behind may have been delivered or not: it is delivered (again).
for _, member in ipairs(redis.call('ZRANGEBYSCORE', consumer_key(f.id, 'open'), int(HELD), '+inf')) do
  redis.call('ZADD', consumer_key(f.id, 'open'), AT_ONCE, member)
end

local got = read(f, ctl.read)
if #got.items == 0 and got.more == 0 then
  reschedule(f)
  return { 'idle' }
end
local config = { '', '' }
if owner.revision ~= ctl.known then config = redis.call('HMGET', consumer_key(f.owner), 'sink', 'secrets') end
return { 'ok', now, f.owner, owner.revision, owner.ordered == '1' and 1 or 0, owner.slots, f.failures or 0,
  f.failingSince or 0, f.pace or '0', f.queue or FAST, f.probation or 0, waiting(f),
  redis.call('SMEMBERS', consumer_key(f.id, 'ahead')), got.items, got.position, got.more,
  config[1], config[2] }
