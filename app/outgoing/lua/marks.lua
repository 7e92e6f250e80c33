#!lua flags=allow-oom
-- Marks: go on with one of the lanes whose marks of undelivered requests are to be looked through: what a
-- newer delivery has made good is superseded, and marks of what is gone go.
--
-- ARGV[1] {destination, …}
-- Result  1, or 0: there is no such lane
-- include: _undelivered.lua

-- lane → the mark looked at last, '' for none
local key = P .. 'marks:' .. ctl.destination
local name = (redis.call('HRANDFIELD', key, 1) or {})[1]
if not name then return 0 end
local lane = lane_key({ destination = ctl.destination, lane = name })
local last = clear_marks(lane, redis.call('HGET', key, name), nil)
if last then redis.call('HSET', key, name, last) else redis.call('HDEL', key, name) end
return 1
