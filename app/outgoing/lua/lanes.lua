#!lua flags=allow-oom
-- Lanes: how each of many lanes stands, for the fleet at a glance. Reads only.
--
-- ARGV[1] {destination, lanes: [lane, …], …}
-- Result  one text a lane, the kinds of marks it has (`w` waiting, `l` live, `f` failed, `x` undelivered, `h` held)
-- include: _lib.lua

local answer = {}
for i, name in ipairs(ctl.lanes) do
  local lane = lane_key({ destination = ctl.destination, lane = name })
  local found = ''
  for _, kind in ipairs({ 'w', 'l', 'f', 'x', 'h' }) do
    if first(lane, kind) then found = found .. kind end
  end
  answer[i] = found
end
return answer
