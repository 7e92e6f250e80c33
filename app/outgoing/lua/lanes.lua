#!lua flags=allow-oom
-- Lanes: how each of many lanes stands, for the fleet at a glance. Reads only.
--
-- ARGV[1] {destination, lanes: [lane, …], …}
-- Result  one text a lane: of the kinds waiting, live, failed, undelivered and held, the letters of those that it has
-- include: _keys.lua
-- include: _marks.lua

local answer = {}
for i, name in ipairs(ctl.lanes) do
  local lane = lane_key({ destination = ctl.destination, lane = name })
  local found = ''
  for _, kind in ipairs({ MARK.waiting, MARK.live, MARK.failed, MARK.undelivered, MARK.held }) do
    if first(lane, kind) then found = found .. kind end
  end
  answer[i] = found
end
return answer
