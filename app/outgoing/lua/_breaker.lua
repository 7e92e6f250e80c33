-- What an attempt says about its destination, and what follows for all that waits for it.
--
-- `destination:{name}`: breaker ('open'), reason, detail, openedAt, nextProbeAt, probes, probedAt,
-- allAsked while it is open; recoveringFrom, released, recoveredTo after it has closed, until all that
-- had failed by then has had its turn; sweep: the table is to be swept before the next tick; notBefore
-- while the far side has asked for rest, restFrom when it did so last. `again:{name}`: requests that
-- failed for the first time → when they are tried again although no tick has come.
-- include: _destinations.lua
-- include: _faults.lua
-- include: _log.lua
-- include: _marks.lua
-- include: _wakeups.lua

local function publish_destination(name, destination, extra)
  extra.destination = destination
  publish('sync-operations', name, cjson.encode(extra))
end

local function open_breaker(destination, reason, detail)
  local key = destination_key(destination)
  if redis.call('HGET', key, 'breaker') then return end
  redis.call('HSET', key, 'breaker', 'open', 'reason', reason, 'detail', detail, 'openedAt', int(now), 'probes', '0',
    'nextProbeAt', int(now + limits_of(destination).first_probe_ms))
  redis.call('HDEL', key, 'recoveringFrom', 'released', 'sweep')
  redis.call('DEL', P .. 'again:' .. destination)
  redis.call('HINCRBY', key, 'opened', 1)
  publish_destination('destination-opened', destination, { code = reason, detail = detail })
end

-- Others were served since: what these lanes met is their own.
local function excuse(r)
  local faults, excused = faults_key(r.destination), excused_key(r.destination)
  if redis.call('EXISTS', faults, excused) == 0 then return end
  for _, lane in ipairs(redis.call('ZRANGEBYSCORE', faults, int(OWN), '+inf')) do
    if lane ~= r.lane then note_lane(excused, lane, now) end
  end
  redis.call('DEL', faults)
  if redis.call('ZSCORE', excused, r.lane) and not first(lane_key(r), MARK.failed) then
    redis.call('ZREM', excused, r.lane)
  end
end

-- What the far side has asked for stands: the answer may have been under way before.
local function close_breaker(destination)
  local key = destination_key(destination)
  local opened = redis.call('HGET', key, 'openedAt')
  if not opened then return end
  redis.call('HDEL', key, 'breaker', 'reason', 'detail', 'openedAt', 'probes', 'nextProbeAt', 'probedAt', 'allAsked')
  redis.call('HSET', key, 'recoveringFrom', int(now), 'released', '0', 'sweep', '1')
  publish_destination('destination-closed', destination, { openedAt = iso(tonumber(opened)) })
  wake(destination)
end

local function note_rest(destination, rest_ms)
  local key = destination_key(destination)
  local before = tonumber(redis.call('HGET', key, 'notBefore') or 0)
  redis.call('HSET', key, 'notBefore', int(math.max(before, now + rest_ms)), 'restFrom', int(now))
end

-- What an attempt says about its destination (`decision.Signal`): `good`, any answer of its own; `fault`,
-- the far side's; `doubt`, the far side's or this document's; `refused`, our token's or this document's;
-- `fatal`, no request can succeed; '' says nothing. Faults of enough lanes open the breaker, but for
-- those of excused lanes.
local function hear(r, signal, code, detail, rest_ms)
  if rest_ms and rest_ms > 0 then note_rest(r.destination, rest_ms) end
  if signal == '' then return end
  if signal == 'good' then
    excuse(r)
    close_breaker(r.destination)
    return
  end
  local limits, faults, excused = limits_of(r.destination), faults_key(r.destination), excused_key(r.destination)
  if limits.breaker_threshold == 0 then return end -- it has no breaker
  local own = signal == 'doubt' and OWN or signal == 'refused' and 2 * OWN or 0
  if own > 0 and redis.call('ZSCORE', excused, r.lane) then
    note_lane(excused, r.lane, now)
    return
  end
  note_lane(faults, r.lane, now + own)
  if signal == 'fatal' or redis.call('ZCARD', faults) >= limits.breaker_threshold
    or (signal == 'refused' and redis.call('ZCOUNT', faults, int(2 * OWN), '+inf') >= limits.refused_lanes) then
    open_breaker(r.destination, code, detail)
  end
end
