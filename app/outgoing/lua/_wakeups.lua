-- Wake-ups: the message "promote this destination". At most one waits in its queue; one that was lost is
-- replaced after a second, by the next accept, finish or tick.
-- include: _keys.lua
-- include: _messages.lua

local function wake_up(destination, n)
  return message('promote', destination .. '-' .. n, destination)
end

local function wake(destination)
  local key, queue = destination_key(destination), P .. 'pending'
  local d = redis.call('HMGET', key, 'paused', 'breaker', 'wakes')
  if d[1] or d[2] then return end -- behind an open breaker the tick of each second sends the probes
  if not redis.call('SET', P .. 'wake:' .. destination, '1', 'NX', 'PX', 1000) then return end
  if d[3] and redis.call('LPOS', queue, wake_up(destination, d[3])) then return end
  redis.call('LPUSH', queue, wake_up(destination, int(redis.call('HINCRBY', key, 'wakes', 1))))
end

local function wake_if_work(destination)
  if redis.call('EXISTS', P .. 'pending:' .. destination, P .. 'due:' .. destination) > 0 then wake(destination) end
end
