#!lua flags=allow-oom
-- Reclaim: live requests whose lease has run out, because the message was lost or the worker died.
--
-- ARGV[1] {destination, limit, …}
-- Result  {how many were looked at: called again while that is `limit`, how many were taken back}
--
-- Never claimed, and its message still waits: it keeps its place, and nothing is pushed again however
-- long nobody comes. Its message lost, or claimed and not sending yet: back to the buffer. A write that
-- may have been applied: a PATCH is remembered as unknown, so that the next attempt compares before it
-- writes; PUT and DELETE can be repeated, and a POST whose record says so; any other is parked for a person. What newer requests have covered
-- meanwhile is superseded. One that loses its lease again and again has failed.
-- include: _attempts.lua
-- include: _clock.lua
-- include: _delivered.lua
-- include: _destinations.lua
-- include: _ends.lua
-- include: _lanes.lua
-- include: _live.lua
-- include: _guards.lua
-- include: _suspects.lua
-- include: _versions.lua
-- include: _wakeups.lua

local live, limits = P .. 'live:' .. ctl.destination, limits_of(ctl.destination)
local function lease_anew(id)
  local lease_until = int(now + limits.lease_ms)
  redis.call('ZADD', live, lease_until, id)
  redis.call('HSET', request_key(id), 'leaseUntil', lease_until)
end

-- The clock was set back: from here on these have a whole lease left, so that a living worker keeps its
-- request, and a dead one's isn't held for as long as the clock was wrong.
for _, id in ipairs(too_far(live, limits.lease_ms, -1)) do
  if read_place(id) then lease_anew(id) end
end

-- The message of the last promotion, if nobody has taken it yet. One that an older release sent can't be
-- found.
local function waiting_message(r)
  local n = not r.token and redis.call('HGET', request_key(r.id), 'promotions')
  if not n then return nil end
  local found = live_message(r, tonumber(n))
  return redis.call('LPOS', LIVE_QUEUE, found) and found
end

local found = entries(live, '-inf', int(now), ctl.limit, read)
local taken_back = 0
for _, one in ipairs(found) do
  local id, r = one[1], one[2]
  if not r or r.state ~= 'live' then
    redis.call('ZREM', live, id)
  else
    local queued = waiting_message(r)
    if not queued then redis.call('HINCRBY', P .. 'counters', r.destination .. ':lease_lost', 1) end
    if r.token then
      r.reclaims = (r.reclaims or 0) + 1
      redis.call('HSET', request_key(id), 'reclaims', int(r.reclaims))
      add_attempt(r, cjson.encode({ at = iso(now), outcome = 'lease_lost', error = { code = 'lease_lost',
        detail = 'The worker did not report back within its lease.' } }))
    end
    if r.token and r.sendingAt then
      forget_delivered(r)
      suspect(r)
    end
    if r.token and r.sendingAt and not r.barrier then
      redis.call('HSET', request_key(id), 'unknown', '{"members":' .. (r.sentMembers or '[]') .. ',"lastModified":'
        .. cjson.encode(r.sentLastModified or '') .. '}')
    elseif r.token and r.sendingAt and r.method == 'DELETE' then
      redis.call('HSET', request_key(id), 'unknown', '{}')
    end
    local done, newer = covered(r)
    local reason = broken_guard(r)
    if queued and (reason or done) then redis.call('LREM', LIVE_QUEUE, 1, queued) end
    if not queued or reason or done then taken_back = taken_back + 1 end
    if reason then
      supersede(r, nil, reason)
    elseif done then
      supersede(r, newer, 'newer')
    elseif queued then
      lease_anew(id)
    elseif r.token and r.sendingAt and r.method == 'POST' and not r.repeatable then
      to_rejected(r, 'unknown_outcome', 'The worker was lost while sending; whether it was applied is unknown.')
    elseif (r.reclaims or 0) > limits.max_reclaims then
      to_failed(r, 'lease_lost', 'The worker did not report back within its lease, several times.', now)
    else
      to_pending(r)
    end
    install_head(r)
  end
end
wake_if_work(ctl.destination)
return { #found, taken_back }
