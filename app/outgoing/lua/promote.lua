#!lua flags=allow-oom
-- Promote: from the pending buffer and from what is due among the failed, into the live buffer, as long
-- as there is room in flight; one live message for each.
--
-- ARGV[1] {destination, in_flight, lease_ms, soon_ms, live_queue, limit, …}
-- ARGV[2] template "promote", ARGV[3] template of the chain GET → PATCH, ARGV[4] template "send"
-- Result  how many were promoted
--
-- Order of work (design 3): what is on air or kicks off within `soon_ms`; then first tries; then retries;
-- each by kick-off; what belongs to an ended event last.
-- include: _lib.lua

local destination = ctl.destination
local pending, due = P .. 'pending:' .. destination, P .. 'due:' .. destination
local live = P .. 'live:' .. destination
redis.call('DEL', P .. 'wake:' .. destination)
if redis.call('HGET', P .. 'destination:' .. destination, 'paused') then return 0 end

local function top(key)
  local found = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if not found[1] then return nil end
  return found[1], tonumber(found[2])
end

-- The first by the order of work: its id, and whether it is a retry.
local function next_one()
  local first_try, a = top(pending)
  local retry, b = top(due)
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
  redis.call('LPUSH', ctl.live_queue, fill(r.barrier and ARGV[4] or ARGV[3], { ['@@ID1@@'] = uuid(), ['@@ID2@@'] = uuid(),
    ['@@TAG@@'] = uuid(), ['@@ARG@@'] = r.id }))
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

local room = ctl.in_flight - redis.call('ZCARD', live)
local promoted, looked = 0, 0
while promoted < room and promoted < ctl.limit and looked < 2 * ctl.limit do
  looked = looked + 1
  local id, retry = next_one()
  if not id then break end
  local r = read(id)
  if not r or (retry and r.state ~= 'failed') or (not retry and r.state ~= 'pending') then
    -- Not what the index says: the audit mends the record; here it only must not block the others.
    redis.call('ZREM', retry and due or pending, id)
  elseif demote(r, retry) then
    -- looked at again in its new place
  elseif retry and not may_retry(r) then
    redis.call('ZREM', due, id)
    redis.call('ZADD', P .. 'failed:' .. destination, int(now), id)
    mark(lane_key(r), 'd', r.seq, r.id)
  elseif retry and covered(r) then
    local _, newer = covered(r)
    supersede(r, newer, 'newer')
    install_head(r)
  else
    go_live(r)
    promoted = promoted + 1
  end
end
if promoted < room and looked >= ctl.limit then wake_if_work(destination) end
return promoted
