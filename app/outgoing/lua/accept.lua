#!lua
-- Accept: the planning or registration change and every request it causes, or nothing.
--
-- ARGV[1] the change, see _accept.lua; ARGV[2…] its payloads
-- Result  {"ok", now, ids…} | {"repeated", now, ids…} | {"again"} | {"mismatch"} | {"full"}
-- Without allow-oom on purpose: a full server refuses new work and drains what it has.
-- include: _accept.lua

return accept(ctl, function(n) return ARGV[n + 1] end)
