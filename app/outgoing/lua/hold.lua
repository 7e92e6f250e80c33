#!lua
-- Hold or release a lane: while it is held, planning's changes wait in it and nothing is promoted.
--
-- ARGV[1] {destination, lane, verb: hold|release, actor, …}
-- Result  1 where it changed something, else 0
-- include: _instances.lua
-- include: _lanes.lua
-- include: _marks.lua
-- include: _timeline.lua
-- include: _wakeups.lua

local r = { destination = ctl.destination, lane = ctl.lane }
local lane = lane_key(r)
local held = first(lane, MARK.held) ~= nil
if held == (ctl.verb == 'hold') then return 0 end
if held then
  unmark(lane, MARK.held, 0, '')
  redis.call('ZREM', P .. 'held', ctl.lane)
  redis.call('HDEL', P .. 'held:by', ctl.lane)
else
  mark(lane, MARK.held, 0, '')
  redis.call('ZADD', P .. 'held', int(now), ctl.lane)
  redis.call('HSET', P .. 'held:by', ctl.lane, ctl.actor)
end
install_head(r)
note_instance(r.destination)
note(ctl.lane, held and 'released' or 'held', cjson.encode({ by = ctl.actor }))
wake_if_work(r.destination)
return 1
