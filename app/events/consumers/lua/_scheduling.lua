-- Where a consumer goes that no worker has, and how it is stopped.
-- include: _base.lua
-- include: _consumer.lua
-- include: _entries.lua
-- include: _listening.lua
-- include: _open.lua
-- include: _waking.lua

local function has_more(f)
  for topic, at in pairs(pairs_of(consumer_key(f.id, 'cursor'))) do
    local goal = target(f, topic)
    if goal ~= at and (goal > at or not f.bound) then return true end
  end
  return false
end

local function end_replay(f, state)
  f.state = state
  redis.call('HSET', consumer_key(f.id), 'state', state, 'endedAt', int(now))
end

-- No worker has it (any more): put it where it belongs. Returns where that is.
local function reschedule(f)
  redis.call('HSET', consumer_key(f.id), 'token', '', 'wake', '')
  f.token, f.wake = nil, nil
  if f.state ~= 'active' then
    redis.call('ZREM', P .. 'feeds:due', f.id)
    return 'stopped'
  end
  if f.notBefore and f.notBefore > now then
    redis.call('ZADD', P .. 'feeds:due', int(f.notBefore), f.id)
    return 'resting'
  end
  local due, more = open_due(f), has_more(f)
  if more and due and due > now and is_full(f) then
    -- Nothing is begun before one of those can be tried.
    redis.call('HSET', consumer_key(f.id), 'notBefore', int(due), 'notBeforeAt', int(now))
    redis.call('ZADD', P .. 'feeds:due', int(due), f.id)
    return 'resting'
  end
  if more or (due and due <= now) then
    wake_consumer(f.id, f.queue or FAST)
    return 'awake'
  end
  redis.call('HSET', consumer_key(f.id), 'notBefore', '')
  if due then
    redis.call('ZADD', P .. 'feeds:due', int(due), f.id)
  else
    redis.call('ZREM', P .. 'feeds:due', f.id)
    if f.replaying then
      end_replay(f, 'done')
      return 'done'
    end
  end
  if not f.replaying then
    start_listening(f, wanted(f))
  end
  return 'listening'
end

-- Stop a consumer. A worker that has it lets it go with its next acknowledgement.
local function stop(f, state, reason)
  f.state = state
  redis.call('HSET', consumer_key(f.id), 'state', state, 'reason', reason, 'wake', '', 'notBefore', '')
  redis.call('ZREM', P .. 'feeds:due', f.id)
  if not f.replaying then stop_listening(f, wanted(f)) end
end
