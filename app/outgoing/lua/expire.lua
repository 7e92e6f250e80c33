#!lua flags=allow-oom
-- Expire: what has failed and is older than its maximum age, or past its deadline. The removal is
-- visible: state `expired`, an event, a note on the timeline.
--
-- ARGV[1] {limit, …}; ARGV[2] template "promote"
-- Result  how many were looked at: called again while that is `limit`
-- include: _lib.lua

local expiry = P .. 'expiry'
local ids = redis.call('ZRANGEBYSCORE', expiry, '-inf', int(now), 'LIMIT', 0, ctl.limit)
for _, id in ipairs(ids) do
  local r = read(id)
  if not r then
    redis.call('ZREM', expiry, id)
  elseif r.state == 'failed' or r.state == 'pending' then
    if orphan(r) then supersede(r, nil, 'unregistered') else to_expired(r) end
    install_head(r)
    wake_if_work(r.destination)
  else
    -- Being tried now: its end, or the reclaiming of its lease, decides.
    redis.call('ZADD', expiry, int(now + 1000), id)
  end
end
return #ids
