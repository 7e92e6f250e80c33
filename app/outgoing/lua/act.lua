#!lua
-- Act: an operator's retry or discard of one request.
--
-- ARGV[1] {id, verb: retry|discard, actor, …}
-- Result  an error where a newer release wrote it, else {"ok"} | {"missing"} | {"state", state} | {"guard", reason} | {"superseded", id of the newer}
--
-- A retry restarts the age and waives the deadline. It keeps the request's place in the order of
-- versions: what newer requests have set since is not sent again.
-- include: _instances.lua
-- include: _lanes.lua
-- include: _guards.lua
-- include: _states.lua
-- include: _versions.lua
-- include: _wakeups.lua

local r, why = read(ctl.id)
if why == 'newer' then return refuse_newer() end
if not r then return { 'missing' } end
local state = r.state
if ctl.verb == 'discard' then
  if state ~= 'pending' and state ~= 'failed' and state ~= 'rejected' and state ~= 'expired' then return { 'state', state } end
  finish_as(r, 'discarded', { 'reason', 'discarded', 'discardedBy', ctl.actor })
  note_request(r, 'discarded', { by = ctl.actor })
else
  if state ~= 'failed' and state ~= 'rejected' and state ~= 'expired' and state ~= 'discarded' then return { 'state', state } end
  if redis.call('HGET', request_key(r.id), 'neverComposed') then return { 'uncomposed' } end
  local reason = broken_guard(r)
  if reason then return { 'guard', reason } end
  local done, newer = covered(r)
  if done then return { 'superseded', newer or '' } end
  if state ~= 'failed' then open_path(r, 1) end
  redis.call('ZREM', P .. 'deadlines', r.id)
  if state == 'discarded' then -- meanwhile nobody wanted it to be shown
    r.staleFrom = now
    redis.call('HSET', request_key(r.id), 'staleFrom', int(now))
  end
  to_pending(r)
  if r.urgentAt then redis.call('ZADD', P .. 'kickoffs', int(r.urgentAt), r.id) end
  redis.call('HSET', request_key(r.id), 'waived', '1', 'ageFrom', '', 'expiresAt', '', 'finishedAt', '', 'reclaims', '0')
  redis.call('ZADD', P .. 'expiry', int(NEVER), r.id)
  note_request(r, 'retried', { by = ctl.actor })
end
install_head(r)
note_instance(r.destination)
wake_if_work(r.destination)
return { 'ok' }
