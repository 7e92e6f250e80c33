#!lua flags=allow-oom
-- Trim: final records older than the history is kept, with their attempts and index entries.
--
-- ARGV[1] {limit, …}
-- Result  how many were removed: called again while that is `limit`
-- include: _history.lua
-- include: _states.lua

local found = entries(P .. 'finished', '-inf', int(now - KEEP_MS), ctl.limit, read)
for _, one in ipairs(found) do
  local id, r = one[1], one[2]
  if r then
    leave(r)
    unmark(lane_key(r), MARK.suspect, r.seq, id)
    if r.media then redis.call('ZREM', media_key(r.media, 'requests'), id) end
  end
  redis.call('ZREM', P .. 'finished', id)
  redis.call('ZREM', P .. 'requests', id)
  redis.call('UNLINK', request_key(id), attempts_key(id))
end
return #found
