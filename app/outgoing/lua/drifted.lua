#!lua flags=allow-oom
-- Drifted: while a request was being tried, AVOS showed another value than the one that we delivered last.
--
-- ARGV[1] {id, token, members: [name, …], park, unknown, …}; ARGV[2] what was found (JSON)
-- ARGV[3] the attempt (JSON), written down where it ends here
--         `unknown`: this attempt has sent something whose answer was lost
-- Result  1: go on; 0: the request was parked, or the claim is lost
-- include: _attempts.lua
-- include: _breaker.lua
-- include: _delivered.lua
-- include: _ends.lua
-- include: _lanes.lua
-- include: _guards.lua
-- include: _suspects.lua
-- include: _timeline.lua

local r = read(ctl.id)
if not r or r.state ~= 'live' or r.token ~= ctl.token then return 0 end
-- Published once: what AVOS has now is no value of ours.
chunked('HDEL', fields_key(r), prefixed('d:', ctl.members))
publish('sync-operations', 'sync-drifted', ARGV[2])
if r.media then note(r.media, 'foreign-edit', ARGV[2]) end
if not ctl.park then return 1 end
add_attempt(r, ARGV[3])
if ctl.unknown then
  forget_delivered(r)
  suspect(r)
end
hear(r, 'good') -- it has answered
local reason = broken_guard(r)
if reason then
  supersede(r, nil, reason)
else
  to_rejected(r, 'foreign_edit', 'Somebody else has changed in AVOS what this request would overwrite.')
end
install_head(r)
wake_if_work(r.destination)
return 0
