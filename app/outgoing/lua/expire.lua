#!lua flags=allow-oom
-- Expire: what has failed and is older than its maximum age, or past its deadline; and what waits behind an
-- open breaker and is. The removal is visible: state `expired`, an event, a note on the timeline.
--
-- ARGV[1] {destination, limit, …}
-- Result  how many were looked at: called again while that is `limit`
-- include: _destinations.lua
-- include: _ends.lua
-- include: _lanes.lua
-- include: _guards.lua
-- include: _wakeups.lua

local expiry = P .. 'expiry'

local function give_up(r)
  local reason = broken_guard(r)
  if reason then supersede(r, nil, reason) else to_expired(r) end
  install_head(r)
  wake_if_work(r.destination)
end

local found = entries(expiry, '-inf', int(now), ctl.limit, read)
for _, one in ipairs(found) do
  local id, r = one[1], one[2]
  if not r then
    redis.call('ZREM', expiry, id)
  elseif r.state == 'failed' or r.state == 'pending' then
    give_up(r)
  else
    -- Being tried now: its end, or the reclaiming of its lease, decides.
    redis.call('ZADD', expiry, int(now + 1000), id)
  end
end
if #found >= ctl.limit then return #found end

-- Behind an open breaker what was never tried grows old as well: by its deadline, and by its age since it was
-- accepted or the breaker opened, whichever was later.
local key, max_age_ms = destination_key(ctl.destination), limits_of(ctl.destination).max_age_ms
local opened = redis.call('HGET', key, 'openedAt')
if not opened then return #found end
local looked, deadlines = #found, P .. 'deadlines'

for _, one in ipairs(entries(deadlines, '-inf', int(now), ctl.limit - looked, read)) do
  local id, r = one[1], one[2]
  looked = looked + 1
  if not r or not may_become_shown(r) then
    redis.call('ZREM', deadlines, id)
  elseif r.state == 'pending' and r.destination == ctl.destination then
    give_up(r)
  else
    -- A failed one stands in `expiry` for its deadline; a live one, and one of another destination, is
    -- looked at again soon.
    redis.call('ZADD', deadlines, int(r.state == 'failed' and NEVER or now + 1000), id)
  end
end

-- The index is in the order of acceptance, and shared with other destinations: the next call goes on
-- where this one stops.
local function grow_old()
  local at = redis.call('HGET', key, 'agedTo') or '0'
  local waiting = entries(P .. 'requests:pending', '(' .. at, '+inf', ctl.limit - looked, read)
  local ended = #waiting < ctl.limit - looked
  for _, one in ipairs(waiting) do
    local r = one[2]
    if r and r.createdAt + max_age_ms > now then
      ended = true
      break
    end
    looked = looked + 1
    if r then
      at = int(r.seq)
      if r.destination == ctl.destination and r.state == 'pending' then give_up(r) end
    end
  end
  if ended then redis.call('HDEL', key, 'agedTo') else redis.call('HSET', key, 'agedTo', at) end
end

if tonumber(opened) + max_age_ms <= now then grow_old() end
return looked
