-- Lanes: one sorted set each, all scores 0, members `kind:number:id` in lexical order. Kinds:
--   w waiting, by sequence      u waiting, by urgency      f failed, by sequence      l live
--   b open barrier, by sequence r the runnable head        h held by an operator
--   x ended undelivered and not yet made good by a newer delivery
--   s suspect: a write of unknown outcome, by sequence; to be read back after the next delivery of its path
--   d failed and due, but the lane was busy when its turn came
local function mark(lane, kind, number, id) redis.call('ZADD', lane, 0, kind .. ':' .. pad(number) .. ':' .. id) end
local function unmark(lane, kind, number, id) redis.call('ZREM', lane, kind .. ':' .. pad(number) .. ':' .. id) end
local function first(lane, kind)
  local found = redis.call('ZRANGEBYLEX', lane, '[' .. kind .. ':', '(' .. kind .. ';', 'LIMIT', 0, 1)[1]
  if not found then return nil end
  return tonumber(found:sub(3, 18)), found:sub(20)
end
local function all(lane, kind, limit)
  local ids = {}
  local found = redis.call('ZRANGEBYLEX', lane, '[' .. kind .. ':', '(' .. kind .. ';', 'LIMIT', 0, limit)
  for i, member in ipairs(found) do ids[i] = member:sub(20) end
  return ids
end

-- Which waiting request of the lane may run now (design 3): the oldest, unless one is live, an operator
-- holds the lane, an older barrier is open, or it is a barrier itself and something older is open.
local function head_of(lane)
  if first(lane, 'h') or first(lane, 'l') then return nil end
  local seq, id = first(lane, 'w')
  if not seq then return nil end
  local barrier = first(lane, 'b')
  if barrier and barrier < seq then return nil end
  if barrier == seq then
    local failed = first(lane, 'f')
    if failed and failed < seq then return nil end
  end
  return id
end

-- Whose turn came while the lane was busy is due again as soon as it is free: else, of two failed requests of
-- one lane, the same one would be tried at every tick.
local function call_back(r)
  local lane = lane_key(r)
  local found = redis.call('ZRANGEBYLEX', lane, '[d:', '(d;', 'LIMIT', 0, 100)
  if #found == 0 or first(lane, 'h') or first(lane, 'l') then return end
  for _, member in ipairs(found) do
    local id = member:sub(20)
    local place, why = read_place(id)
    if why ~= 'newer' then
      redis.call('ZREM', lane, member)
      if redis.call('ZSCORE', P .. 'failed:' .. r.destination, id) then
        redis.call('ZADD', P .. 'failed:' .. r.destination, int(NEVER), id)
        redis.call('ZADD', P .. 'due:' .. r.destination, int(place and place.urgency or now), id)
      end
    end
  end
end

-- Put the lane's head, and nothing else of it, into `pending:{destination}`, as urgent as the most
-- urgent that waits behind it.
local function install_head(r)
  local lane = lane_key(r)
  local pending = P .. 'pending:' .. r.destination
  local head = head_of(lane)
  local _, present = first(lane, 'r')
  if present and present ~= head then
    unmark(lane, 'r', 0, present)
    redis.call('ZREM', pending, present)
  end
  if head then
    local urgency = first(lane, 'u')
    redis.call('ZADD', pending, int(urgency or now), head)
    if present ~= head then mark(lane, 'r', 0, head) end
  end
  call_back(r)
end

-- May a failed request be tried: the same rules, seen from the failed table.
local function may_retry(r)
  local lane = lane_key(r)
  if first(lane, 'h') or first(lane, 'l') then return false end
  local barrier = first(lane, 'b')
  if not r.barrier then return not barrier or barrier > r.seq end
  if barrier ~= r.seq or first(lane, 'f') ~= r.seq then return false end
  local waiting = first(lane, 'w')
  return not waiting or waiting > r.seq
end
