-- What an attempt says about its destination, and what follows for all that waits for it.

-- `destination:{name}`: breaker ('open'), reason, detail, openedAt, probedAt, probedLane while it is open;
-- recoveringFrom, released after it has closed, until the failed table is released; notBefore while the far
-- side has asked for rest. `faults:{name}`: lanes that met a fault since the last good answer.
local function destination_key(name) return P .. 'destination:' .. name end

local function log_destination(name, destination, extra)
  extra.destination = destination
  log('sync-operations', name, cjson.encode(extra))
end

local function open_breaker(destination, reason, detail)
  local key = destination_key(destination)
  if redis.call('HGET', key, 'breaker') then return end
  redis.call('HSET', key, 'breaker', 'open', 'reason', reason, 'detail', detail, 'openedAt', int(now))
  redis.call('HDEL', key, 'recoveringFrom', 'released', 'probedAt', 'probedLane')
  redis.call('HINCRBY', key, 'opened', 1)
  log_destination('destination-opened', destination, { code = reason, detail = detail })
end

local function close_breaker(destination)
  local key = destination_key(destination)
  redis.call('DEL', P .. 'faults:' .. destination)
  local opened = redis.call('HGET', key, 'openedAt')
  if not opened then return end
  redis.call('HDEL', key, 'breaker', 'reason', 'detail', 'openedAt', 'probedAt', 'probedLane', 'notBefore')
  redis.call('HSET', key, 'recoveringFrom', int(now), 'released', '0')
  log_destination('destination-closed', destination, { openedAt = iso(tonumber(opened)) })
end

-- What an attempt says about its destination (`decide.Signal`): `good`, any answer of its own; `fault`, which
-- opens the breaker once it has come from enough lanes; `fatal`, which opens it at once; '' says nothing.
local function hear(r, signal, code, detail, rest_ms)
  local key = destination_key(r.destination)
  if rest_ms and rest_ms > 0 then
    local before = tonumber(redis.call('HGET', key, 'notBefore') or 0)
    redis.call('HSET', key, 'notBefore', int(math.max(before, now + rest_ms)))
  end
  if signal == 'good' then
    close_breaker(r.destination)
  elseif signal == 'fatal' then
    open_breaker(r.destination, code, detail)
  elseif signal == 'fault' then
    local faults = P .. 'faults:' .. r.destination
    redis.call('ZADD', faults, int(now), r.lane)
    redis.call('PEXPIRE', faults, 3600000)
    if redis.call('ZCARD', faults) >= ctl.breaker_threshold then open_breaker(r.destination, code, detail) end
  end
end
