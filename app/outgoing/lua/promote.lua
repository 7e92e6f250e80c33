#!lua flags=allow-oom
-- Promote: from the pending buffer and from what is due among the failed, into the live buffer, as long
-- as there is room in flight; one live message for each.
--
-- ARGV[1] {destination, in_flight, lease_ms, soon_ms, live_queue, limit, release_rate, probe?, …}
--         `probe`: a tick asks, so that one request may go out although the breaker is open
-- ARGV[2] template "promote", ARGV[3] template of the chain GET → PATCH, ARGV[4] template "send"
-- Result  how many were promoted
--
-- Order of work (design 3): what is on air or kicks off within `soon_ms`; then first tries; then retries;
-- each by kick-off; what belongs to an ended event last. After an outage retries are released at a bounded
-- rate. Behind an open breaker one probe goes out a tick, another lane each time; with nothing failed, what
-- was accepted next is the probe.
-- include: _lib.lua
-- include: _live.lua

local destination = ctl.destination
local pending, due = P .. 'pending:' .. destination, P .. 'due:' .. destination
local live = P .. 'live:' .. destination
redis.call('DEL', P .. 'wake:' .. destination)
local d = redis.call('HMGET', destination_key(destination), 'paused', 'breaker', 'notBefore', 'recoveringFrom', 'released',
  'probedLane')
if d[1] then return 0 end
-- A rest that is longer than any is granted (decide.LONGEST_REST_S), and a recovery that began in the future: the clock
-- was set back.
local rest = tonumber(d[3] or 0) - now
if rest > 0 and rest <= 300000 then return 0 end
local recovering = tonumber(d[4] or 0)
if recovering > now then
  recovering, d[5] = now, '0'
  redis.call('HSET', destination_key(destination), 'recoveringFrom', int(now), 'released', '0')
end
local may_release = recovering > 0
  and math.floor((now - recovering + 1000) * ctl.release_rate / 1000) - tonumber(d[5] or 0) or NEVER

local passed = { [pending] = 0, [due] = 0 } -- at the head, of a newer release: they stay, and what is behind them goes
local function top(key)
  local found = redis.call('ZRANGE', key, passed[key], passed[key], 'WITHSCORES')
  if not found[1] then return nil end
  return found[1], tonumber(found[2])
end

-- The first by the order of work: its id, and whether it is a retry.
local function next_one()
  local first_try, a = top(pending)
  local retry, b = nil, nil
  if may_release > 0 then retry, b = top(due) end
  if not first_try then return retry, true end
  if not retry then return first_try, false end
  local soon = now + ctl.soon_ms
  if b <= soon and b < a then return retry, true end
  if a >= ENDED and b < ENDED then return retry, true end
  return first_try, false
end

local function go_live(r)
  leave(r)
  local lease_until = now + ctl.lease_ms
  enter(r, 'live', { 'leaseUntil', int(lease_until), 'token', '', 'sendingAt', '', 'nextTryAt', '' })
  mark(lane_key(r), 'l', r.seq, r.id)
  redis.call('ZADD', live, int(lease_until), r.id)
  redis.call('LPUSH', ctl.live_queue, live_message(r, redis.call('HINCRBY', request_key(r.id), 'promotions', 1)))
end

-- An event that has ended since moves its request to the end of the order, once.
local function demote(r, retry)
  if r.demoted or not r.eventEndAt or r.eventEndAt > now then return false end
  redis.call('HSET', request_key(r.id), 'demoted', '1', 'urgency', int(r.urgency + ENDED))
  if retry then
    redis.call('ZADD', due, int(r.urgency + ENDED), r.id)
  else
    unmark(lane_key(r), 'u', r.urgency, r.id)
    r.urgency = r.urgency + ENDED
    mark(lane_key(r), 'u', r.urgency, r.id)
    install_head(r)
  end
  return true
end

local function pass(key)
  repeat
    passed[key] = passed[key] + 1
    local id = redis.call('ZRANGE', key, passed[key], passed[key])[1]
    local _, why = read_place(id or '')
  until why ~= 'newer' or passed[key] >= MOST_PASSED
end

-- What nobody takes isn't added to, whatever has piled up there.
local room = ctl.in_flight - math.max(in_flight(destination), redis.call('LLEN', ctl.live_queue))
local promoted, released, looked = 0, 0, 0

local function consider(id, retry)
  local r, why = read(id)
  if why == 'newer' then
    pass(retry and due or pending)
    return false
  end
  if not r or (retry and r.state ~= 'failed') or (not retry and r.state ~= 'pending') then
    -- Not what the index says: the audit mends the record; here it only must not block the others.
    redis.call('ZREM', retry and due or pending, id)
    return false
  end
  if demote(r, retry) then return false end -- looked at again in its new place
  if not retry then
    go_live(r)
    return true
  end
  if not may_retry(r) then
    redis.call('ZREM', due, id)
    redis.call('ZADD', P .. 'failed:' .. destination, int(now), id)
    mark(lane_key(r), 'd', r.seq, r.id)
    return false
  end
  local done, newer = covered(r)
  if done then
    supersede(r, newer, 'newer')
    install_head(r)
    return false
  end
  go_live(r)
  install_head(r) -- what waits in its lane isn't runnable any more
  return true
end

-- The probe: the failed request that was tried longest ago, preferably of another lane than the last.
local function probe()
  local failed = P .. 'failed:' .. destination
  local function try(ids, retry)
    local fallback
    for _, id in ipairs(ids) do
      local r = read(id)
      if r and r.lane == d[6] and #ids > 1 then
        fallback = fallback or id
      elseif consider(id, retry) then
        redis.call('HSET', destination_key(destination), 'probedAt', int(now), 'probedLane', r and r.lane or '')
        return true
      end
    end
    if fallback then return try({ fallback }, retry) end
    return false
  end
  return try(redis.call('ZRANGE', due, 0, 9), true)
    or try(redis.call('ZRANGEBYSCORE', failed, '-inf', int(now), 'LIMIT', 0, 10), true)
    or try(redis.call('ZRANGE', pending, 0, 0), false)
end

if d[2] then
  local none_failed = redis.call('EXISTS', P .. 'failed:' .. destination) == 0
  if (ctl.probe or none_failed) and redis.call('EXISTS', live) == 0 then return probe() and 1 or 0 end
  return 0
end

while promoted < room and promoted < ctl.limit and looked < 2 * ctl.limit do
  looked = looked + 1
  local id, retry = next_one()
  if not id then break end
  if consider(id, retry) then
    promoted = promoted + 1
    if retry and recovering > 0 then
      released = released + 1
      may_release = may_release - 1
    end
  end
end
if released > 0 then redis.call('HINCRBY', destination_key(destination), 'released', released) end
if promoted < room and looked >= ctl.limit then wake_if_work(destination) end
return promoted
