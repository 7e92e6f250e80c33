-- Which request of a lane may run: rules, and the head's place in `pending:`.
-- include: _clock.lua
-- include: _marks.lua
-- include: _records.lua

-- The waiting request that may run now: the oldest, unless one is live, an operator holds the lane, an
-- older barrier is open, or it is a barrier itself and something older is open. `lane` is `look_at`'s.
local function head_of(lane)
  if lane(MARK.held) or lane(MARK.live) then return nil end
  local seq, id = lane(MARK.waiting)
  if not seq then return nil end
  local barrier = lane(MARK.barrier)
  if barrier and barrier < seq then return nil end
  if barrier == seq then
    local failed = lane(MARK.failed)
    if failed and failed < seq then return nil end
  end
  return id
end

-- A failed request whose turn came while the lane was busy is due again as soon as the lane is free:
-- otherwise, of two failed requests of one lane, the same one would be tried at every tick.
local function call_back(r, lane)
  if not lane(MARK.deferred) or lane(MARK.held) or lane(MARK.live) then return end
  for _, member in ipairs(members(lane_key(r), MARK.deferred, '', 100)) do
    local id = id_of(member)
    local place, why = read_place(id)
    if why ~= 'newer' then
      redis.call('ZREM', lane_key(r), member)
      if redis.call('ZSCORE', P .. 'failed:' .. r.destination, id) then
        redis.call('ZADD', P .. 'failed:' .. r.destination, int(NEVER), id)
        redis.call('ZADD', P .. 'due:' .. r.destination, int(place and place.urgency or now), id)
      end
    end
  end
end

-- Put the lane's head, and nothing else of it, into `pending:{destination}`, as urgent as the most urgent
-- that waits behind it.
local function install_head(r)
  local lane = look_at(lane_key(r))
  local pending = P .. 'pending:' .. r.destination
  local head = head_of(lane)
  local _, present = lane(MARK.head)
  if present and present ~= head then
    unmark(lane_key(r), MARK.head, 0, present)
    redis.call('ZREM', pending, present)
  end
  if head then
    local urgency = lane(MARK.by_urgency)
    redis.call('ZADD', pending, int(urgency or now), head)
    if present ~= head then mark(lane_key(r), MARK.head, 0, head) end
  end
  call_back(r, lane)
end

-- May a failed request be tried: the same rules, seen from the failed table.
local function may_retry(r)
  local lane = look_at(lane_key(r))
  if lane(MARK.held) or lane(MARK.live) then return false end
  local barrier = lane(MARK.barrier)
  if not r.barrier then return not barrier or barrier > r.seq end
  if barrier ~= r.seq or lane(MARK.failed) ~= r.seq then return false end
  local waiting = lane(MARK.waiting)
  return not waiting or waiting > r.seq
end
