#!lua flags=allow-oom
-- Claim: the worker that has got the message asks for the lease. A second message, or one for what has
-- ended since, is refused.
--
-- ARGV[1] {id, token, …}
-- Result  nil, or {now, lease_until, fence, destination, method, path, contentMediaId, unknown, ageFrom, deadline, kind,
--         urgentAt, member, JSON, …}: the values of its members that were delivered last, where they are known
--         (deadline: the earlier of its own and its event's end plus the grace; empty where an operator has waived it;
--         urgentAt: empty once its event has ended)
-- include: _destinations.lua
-- include: _guards.lua
-- include: _records.lua
-- include: _versions.lua

local r = read(ctl.id)
if not r or r.state ~= 'live' or r.token then return false end
local reason = broken_guard(r)
if reason then
  -- include: _lanes.lua
  -- include: _states.lua
  -- include: _wakeups.lua
  supersede(r, nil, reason)
  install_head(r)
  wake_if_work(r.destination)
  return false
end
local fence = redis.call('INCR', P .. 'sequence')
local lease_until = now + limits_of(r.destination).lease_ms
redis.call('HSET', request_key(r.id), 'token', ctl.token, 'fence', int(fence), 'leaseUntil', int(lease_until),
  'attemptCount', int((r.attemptCount or 0) + 1), 'claimedAt', int(now))
redis.call('ZADD', P .. 'live:' .. r.destination, int(lease_until), r.id)
local deadline = deadline_of(r)
local answer = { int(now), int(lease_until), int(fence), r.destination, r.method, r.path, r.contentMediaId or '', r.unknown or '',
  r.ageFrom and int(r.ageFrom) or '', deadline and int(deadline) or '', r.kind,
  r.urgentAt and not r.demoted and int(r.urgentAt) or '' }
local names = members_of(r)
if #names > 0 then
  local delivered = many(fields_key(r), prefixed('d:', names))
  for i, name in ipairs(names) do
    if delivered[i] then
      answer[#answer + 1] = name
      answer[#answer + 1] = delivered[i]
    end
  end
end
return answer
