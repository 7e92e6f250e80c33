#!lua flags=allow-oom
-- Expire: what has failed and is older than its maximum age, or past its deadline; and what waits behind an
-- open breaker and is. The removal is visible: state `expired`, an event, a note on the timeline.
--
-- ARGV[1] {destination, limit, …}; ARGV[2] template "promote"
-- Result  how many were looked at: called again while that is `limit`
-- include: _lib.lua

local expiry = P .. 'expiry'

local function give_up(r)
  if orphan(r) then supersede(r, nil, 'unregistered') else to_expired(r) end
  install_head(r)
  wake_if_work(r.destination)
end

local ids = redis.call('ZRANGEBYSCORE', expiry, '-inf', int(now), 'LIMIT', 0, ctl.limit)
for _, id in ipairs(ids) do
  local r = read(id)
  if not r then
    redis.call('ZREM', expiry, id)
  elseif r.state == 'failed' or r.state == 'pending' then
    give_up(r)
  else
    -- Being tried now: its end, or the reclaiming of its lease, decides.
    redis.call('ZADD', expiry, int(now + 1000), id)
  end
end
if #ids >= ctl.limit then return #ids end

-- Behind an open breaker what was never tried grows old as well: by its deadline, and by its age since it was
-- accepted or the breaker opened, whichever was later.
local opened = redis.call('HGET', destination_key(ctl.destination), 'openedAt')
if not opened then return #ids end
local looked = #ids

local function behind(id)
  local r = read(id)
  looked = looked + 1
  if not r then
    redis.call('ZREM', P .. 'deadlines', id)
  elseif r.state == 'pending' and r.destination == ctl.destination then
    give_up(r)
  else
    -- A failed one stands in `expiry` for its deadline; a live one is looked at again soon.
    redis.call('ZADD', P .. 'deadlines', int(r.state == 'live' and now + 1000 or NEVER), id)
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'deadlines', '-inf', int(now), 'LIMIT', 0,
  ctl.limit - looked)) do
  behind(id)
end
if tonumber(opened) + ctl.max_age_ms <= now then
  local room = ctl.limit - looked
  for _, id in ipairs(room > 0 and redis.call('ZRANGE', P .. 'requests:pending', 0, room - 1) or {}) do
    local created = redis.call('HGET', request_key(id), 'createdAt')
    if tonumber(created or 0) + ctl.max_age_ms > now then break end
    behind(id)
  end
end
return looked
