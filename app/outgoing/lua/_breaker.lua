-- What an attempt says about its destination, and what follows for all that waits for it.

-- `destination:{name}`: breaker ('open'), reason, detail, openedAt, nextProbeAt, probes, probedAt, allAsked while it is
-- open; recoveringFrom, released, recoveredTo after it has closed, until all that had failed by then has had its turn;
-- sweep: the table is to be swept before the next tick; notBefore while the far side has asked for rest, restFrom when it did so last.
-- `faults:{name}`: lanes that met a fault since the last good answer → when, with OWN added where it may be the lane's
-- own fault, with 2 OWN where it was refused. `excused:{name}`: lanes whose fault was their own, as a good answer of
-- another lane has shown → when they met it last. `again:{name}`: requests that failed for the first time → when they
-- are tried again although no tick has come.
local OWN = 100000000000000
local REFUSED_LANES = 2 -- a token that is refused is refused for every lane: the second one tells
local FIRST_PROBE_MS = 1000
local MOST_LANES = 1000 -- of each of these sets; what falls out is only asked once more

local function destination_key(name) return P .. 'destination:' .. name end

local function log_destination(name, destination, extra)
  extra.destination = destination
  publish('sync-operations', name, cjson.encode(extra))
end

local function note_lane(set, r, score)
  local key = P .. set .. ':' .. r.destination
  redis.call('ZADD', key, int(score), r.lane)
  redis.call('ZREMRANGEBYRANK', key, 0, -MOST_LANES - 1)
  redis.call('PEXPIRE', key, 3600000)
  return key
end

local function open_breaker(destination, reason, detail)
  local key = destination_key(destination)
  if redis.call('HGET', key, 'breaker') then return end
  redis.call('HSET', key, 'breaker', 'open', 'reason', reason, 'detail', detail, 'openedAt', int(now), 'probes', '0',
    'nextProbeAt', int(now + FIRST_PROBE_MS))
  redis.call('HDEL', key, 'recoveringFrom', 'released', 'sweep')
  redis.call('DEL', P .. 'again:' .. destination)
  redis.call('HINCRBY', key, 'opened', 1)
  log_destination('destination-opened', destination, { code = reason, detail = detail })
end

-- Others were served since: what these lanes met is their own.
local function excuse(r)
  local faults, excused = P .. 'faults:' .. r.destination, P .. 'excused:' .. r.destination
  if redis.call('EXISTS', faults) == 1 then
    for _, lane in ipairs(redis.call('ZRANGEBYSCORE', faults, int(OWN), '+inf')) do
      if lane ~= r.lane then note_lane('excused', { destination = r.destination, lane = lane }, now) end
    end
    redis.call('DEL', faults)
  end
  if redis.call('ZSCORE', excused, r.lane) and not first(lane_key(r), 'f') then redis.call('ZREM', excused, r.lane) end
end

-- What the far side has asked for stands: the answer may have been under way before.
local function close_breaker(destination)
  local key = destination_key(destination)
  local opened = redis.call('HGET', key, 'openedAt')
  if not opened then return end
  redis.call('HDEL', key, 'breaker', 'reason', 'detail', 'openedAt', 'probes', 'nextProbeAt', 'probedAt', 'allAsked')
  redis.call('HSET', key, 'recoveringFrom', int(now), 'released', '0', 'sweep', '1')
  log_destination('destination-closed', destination, { openedAt = iso(tonumber(opened)) })
  wake(destination)
end

-- What an attempt says about its destination (`decide.Signal`): `good`, any answer of its own; `fault`, the far side's;
-- `doubt`, the far side's or this document's; `refused`, our token's or this document's; `fatal`, no request can
-- succeed; '' says nothing. Faults of enough lanes open the breaker, but for those of excused lanes.
local function hear(r, signal, code, detail, rest_ms)
  local key = destination_key(r.destination)
  if rest_ms and rest_ms > 0 then
    local before = tonumber(redis.call('HGET', key, 'notBefore') or 0)
    redis.call('HSET', key, 'notBefore', int(math.max(before, now + rest_ms)), 'restFrom', int(now))
  end
  if signal == '' then return end
  if signal == 'good' then
    excuse(r)
    close_breaker(r.destination)
    return
  end
  local own = signal == 'doubt' and OWN or signal == 'refused' and 2 * OWN or 0
  if own > 0 and redis.call('ZSCORE', P .. 'excused:' .. r.destination, r.lane) then
    note_lane('excused', r, now)
    return
  end
  local faults = note_lane('faults', r, now + own)
  if signal == 'fatal' or redis.call('ZCARD', faults) >= ctl.breaker_threshold
    or (signal == 'refused' and redis.call('ZCOUNT', faults, int(2 * OWN), '+inf') >= REFUSED_LANES) then
    open_breaker(r.destination, code, detail)
  end
end
