#!lua flags=allow-oom
-- Expire: what has failed and is older than its maximum age, or past its deadline; and what waits behind an
-- open breaker and is. The removal is visible: state `expired`, an event, a note on the timeline.
--
-- ARGV[1] {destination, limit, …}
-- Result  how many were looked at: called again while that is `limit`
-- include: _ends.lua
-- include: _lanes.lua
-- include: _registration.lua
-- include: _wakeups.lua

local expiry = P .. 'expiry'

local function give_up(r)
  if orphan(r) then supersede(r, nil, 'unregistered') else to_expired(r) end
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
local opened = redis.call('HGET', destination_key(ctl.destination), 'openedAt')
if not opened then return #found end
local looked = #found

local function behind(id, r)
  looked = looked + 1
  if not r or (r.state ~= 'pending' and r.state ~= 'live' and r.state ~= 'failed') then
    redis.call('ZREM', P .. 'deadlines', id)
  elseif r.state == 'pending' and r.destination == ctl.destination then
    give_up(r)
  else
    -- A failed one stands in `expiry` for its deadline; a live one is looked at again soon.
    redis.call('ZADD', P .. 'deadlines', int(r.state == 'live' and now + 1000 or NEVER), id)
  end
end

for _, one in ipairs(entries(P .. 'deadlines', '-inf', int(now), ctl.limit - looked, read)) do behind(one[1], one[2]) end
if tonumber(opened) + ctl.max_age_ms <= now then
  for _, one in ipairs(entries(P .. 'requests:pending', '-inf', '+inf', ctl.limit - looked, read)) do
    local r = one[2]
    if r and r.createdAt + ctl.max_age_ms > now then break end
    behind(one[1], r)
  end
end
return looked
