#!lua
-- Create: make a consumer, and run the caller's own writes.
--
-- ARGV[1] {id, ordered, slots, topics: [[topic, [name…]], …], start: {topic: sequence}, also: [[n, …], …]}
-- ARGV[2] topics as JSON, [3] sink, [4] secrets
-- ARGV[5…] arguments of the commands of `also`, which `n` counts from 1
-- Result  1, or 0 where there is one of this id
-- Without allow-oom on purpose: a full server takes no new work.
-- include: _base.lua
-- include: _changing.lua
-- include: _consumer.lua
-- include: _scheduling.lua
-- include: _waking.lua

if redis.call('HEXISTS', consumer_key(ctl.id), 'state') == 1 then return 0 end

redis.call('ZADD', P .. 'feeds', int(now), ctl.id)
redis.call('HSET', consumer_key(ctl.id), 'schema', '1', 'owner', ctl.id, 'revision', '1', 'queue', FAST,
  'createdAt', int(now))
configure({ id = ctl.id })
run_also()
-- From now on it exists: should the script break off before, the same create may be tried again.
redis.call('HSET', consumer_key(ctl.id), 'state', 'active')
reschedule(load(ctl.id))
return 1
