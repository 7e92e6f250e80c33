#!lua flags=allow-oom
-- Promote: from the pending buffer and from what is due among the failed, into the live buffer, as long
-- as there is room in flight; one live message for each.
--
-- ARGV[1] {destination, limit, …}
-- Result  {how many were promoted, 1 where the failed table is to be swept now}
--
-- Order of work: what is on air or kicks off within `soon_ms`; then first tries; then retries;
-- each by kick-off; what belongs to an ended event last. After an outage retries are released at a
-- bounded rate. Behind an open breaker probes go out, see below. While the far side has asked for rest,
-- what is on air or kicks off soon goes out all the same after `near_rest_ms`, one at a time.
-- include: _clock.lua
-- include: _destinations.lua
-- include: _flight.lua
-- include: _lanes.lua
-- include: _limits.lua
-- include: _live.lua
-- include: _faults.lua
-- include: _states.lua
-- include: _versions.lua
-- include: _wakeups.lua

local destination = ctl.destination
local limits = limits_of(destination)
local ENDED = 100000000000000 -- added to the urgency of what belongs to an ended event
local pending, due = P .. 'pending:' .. destination, P .. 'due:' .. destination
local live = P .. 'live:' .. destination
redis.call('DEL', P .. 'wake:' .. destination)
local d = redis.call('HMGET', destination_key(destination), 'paused', 'breaker', 'notBefore', 'recoveringFrom', 'released',
  'restFrom', 'sweep')
if d[1] then return { 0, 0 } end
local resting = remaining(tonumber(d[3] or 0), limits.longest_rest_ms) > 0
if resting and now < tonumber(d[6] or d[3]) + limits.near_rest_ms then return { 0, 0 } end
local recovering, set_back = cut_short(tonumber(d[4] or 0), 0)
if set_back then
  d[5] = '0'
  redis.call('HSET', destination_key(destination), 'recoveringFrom', int(now), 'released', '0')
end
local may_release = recovering > 0
  and math.floor((now - recovering + 1000) * limits.release_rate / 1000) - tonumber(d[5] or 0) or NEVER

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
  local soon = now + limits.soon_ms
  if resting then
    if a and a > soon then first_try = nil end
    if b and b > soon then retry = nil end
  end
  if not first_try then return retry, true end
  if not retry then return first_try, false end
  if b <= soon and b < a then return retry, true end
  if a >= ENDED and b < ENDED then return retry, true end
  return first_try, false
end

local function go_live(r)
  leave(r)
  local lease_until = now + limits.lease_ms
  enter(r, 'live', { 'leaseUntil', int(lease_until), 'token', '', 'sendingAt', '', 'nextTryAt', '' })
  mark(lane_key(r), MARK.live, r.seq, r.id)
  redis.call('ZADD', live, int(lease_until), r.id)
  redis.call('LPUSH', LIVE_QUEUE, live_message(r, redis.call('HINCRBY', request_key(r.id), 'promotions', 1)))
end

-- An event that has ended since moves its request to the end of the order, once.
local function demote(r, retry)
  if r.demoted or not r.eventEndAt or r.eventEndAt > now then return false end
  redis.call('HSET', request_key(r.id), 'demoted', '1', 'urgency', int(r.urgency + ENDED))
  if retry then
    redis.call('ZADD', due, int(r.urgency + ENDED), r.id)
  else
    unmark(lane_key(r), MARK.by_urgency, r.urgency, r.id)
    r.urgency = r.urgency + ENDED
    mark(lane_key(r), MARK.by_urgency, r.urgency, r.id)
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

-- The queue holds the messages of all destinations. What nobody takes isn't added to, whatever has piled
-- up there.
local room = math.min(limits.in_flight - in_flight(destination),
  math.max(MOST_QUEUED, limits.in_flight) - redis.call('LLEN', LIVE_QUEUE))
if resting then room = math.min(room, 1 - redis.call('ZCARD', live)) end
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
    mark(lane_key(r), MARK.deferred, r.seq, r.id)
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

-- Probes. The first goes out `first_probe_ms` after the breaker has opened, the others at a growing
-- distance, up to `probe_ms`: one request of those that wait and one of those that failed, so that
-- neither waits behind what never succeeds. Of each the lane whose last fault is longest ago, and first
-- of all one that has met none. Where every lane that waits has had its turn, one that comes new isn't
-- kept for the distance.
local WINDOW = 20

-- The first of `count` in a table and, another part each time, some of the others.
local function some_of(key, count, turn)
  local ids = count > 0 and redis.call('ZRANGE', key, 0, math.min(count, WINDOW) - 1) or {}
  if count <= WINDOW then return ids end
  local from = WINDOW + turn * WINDOW % (count - WINDOW)
  for _, id in ipairs(redis.call('ZRANGE', key, from, math.min(from + WINDOW, count) - 1)) do ids[#ids + 1] = id end
  return ids
end

-- Send one of these, with `fresh` only one of a lane that has met no fault: 1 or 0, and whether another
-- such lane is left.
local function send_one(ids, retry, fresh)
  local found = {}
  for i, id in ipairs(ids) do
    local stored = redis.call('HMGET', request_key(id), 'lane', 'urgency')
    local near = tonumber(stored[2] or 0) <= now + limits.soon_ms
    if near or not resting then found[#found + 1] = { id = id, at = stored[1] and last_fault(destination, stored[1]) or 0, i = i } end
  end
  table.sort(found, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.i < b.i
  end)
  for i, one in ipairs(found) do
    if fresh and one.at > 0 then break end
    if consider(one.id, retry) then return 1, found[i + 1] ~= nil and found[i + 1].at == 0 end
  end
  return 0, false
end

local function probe()
  local key = destination_key(destination)
  local stored = redis.call('HMGET', key, 'nextProbeAt', 'probes', 'probedAt', 'allAsked')
  local turn, wait = tonumber(stored[2] or 0), remaining(tonumber(stored[1] or 0), limits.probe_ms)
  local waiting = some_of(pending, redis.call('ZCARD', pending), turn)
  if wait > 0 then
    if stored[4] ~= '1' or tonumber(stored[3] or 0) + limits.first_probe_ms > now or room < 1 then return 0 end
    local sent, more = send_one(waiting, false, true)
    if sent > 0 then redis.call('HSET', key, 'probedAt', int(now), 'allAsked', more and '0' or '1') end
    return sent
  end
  local sent, more, again = 0, false, 0
  if room > 0 then sent, more = send_one(waiting, false, false) end
  if room > sent then
    again = send_one(some_of(due, redis.call('ZCARD', due), turn), true, false)
    if again == 0 then
      local failed = P .. 'failed:' .. destination
      again = send_one(some_of(failed, redis.call('ZCOUNT', failed, '-inf', int(now)), turn), true, false)
      if sent + again == 0 then again = send_one(too_far(failed, limits.longest_rest_ms, WINDOW), true, false) end
    end
  end
  if sent + again > 0 then
    local distance = math.min(limits.first_probe_ms * 2 ^ math.min(turn + 1, 20), limits.probe_ms)
    redis.call('HSET', key, 'probedAt', int(now), 'allAsked', more and '0' or '1', 'probes', int(turn + 1),
      'nextProbeAt', int(now + distance))
  end
  return sent + again
end

if d[2] then return { probe(), 0 } end

-- What failed for the first time a moment ago, and may succeed now: the far side may only have blinked.
local again = P .. 'again:' .. destination
for _, id in ipairs(redis.call('ZRANGEBYSCORE', again, '-inf', int(now), 'LIMIT', 0, ctl.limit)) do
  redis.call('ZREM', again, id)
  local r = read(id)
  if r and r.state == 'failed' and (r.nextTryAt or 0) <= now then
    redis.call('ZADD', P .. 'failed:' .. destination, int(NEVER), id)
    redis.call('ZADD', due, int(r.urgency), id)
  end
end
if d[7] then redis.call('HDEL', destination_key(destination), 'sweep') end

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
return { promoted, d[7] and 1 or 0 }
