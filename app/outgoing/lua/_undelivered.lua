-- The marks of what ended undelivered: a newer delivery makes it good.
-- include: _states.lua

-- A newer request that has set what this one was about and was delivered ('': planning has withdrawn it
-- all), or nil.
local function made_good_by(r)
  local own, _, count, setters = still_own(r)
  if r.barrier or count == 0 or #own > 0 then return nil end
  for id in pairs(setters) do
    if id == '' or redis.call('HGET', request_key(id), 'state') == 'delivered' then return id end
  end
  return nil
end

-- Look at some of a lane's marks, behind the one named `from` ('' for the oldest): what was made good is
-- superseded, and the mark of what is gone, or doesn't want to be delivered any more, goes. `delivered`
-- has just been. Where to go on, or nil.
local MOST_MARKS = 100
local function clear_marks(lane, from, delivered)
  local marks = members(lane, MARK.undelivered, from, MOST_MARKS)
  for _, member in ipairs(marks) do
    local r, why = read(id_of(member))
    if r and (r.state == 'rejected' or r.state == 'expired' or (r.state == 'discarded' and not r.barrier)) then
      local by
      if delivered then
        by = r.versionPath == delivered.versionPath and r.seq < delivered.seq and covered(r) and delivered.id
      else
        by = made_good_by(r)
      end
      if by then supersede(r, by, 'newer') end
    elseif why ~= 'newer' then
      redis.call('ZREM', lane, member)
    end
  end
  return marks[MOST_MARKS]
end
