-- The marks of a lane: one sorted set, all scores 0, members `kind:number:id` in lexical order.
-- include: _base.lua

local MARK = { -- as app/outgoing/lanes.py has them
  waiting = 'w', -- by sequence
  by_urgency = 'u', -- a waiting one, by urgency
  live = 'l', -- by sequence; at most one
  failed = 'f', -- by sequence
  barrier = 'b', -- an open barrier, whatever its state, by sequence
  head = 'r', -- the runnable head, the one in `pending:`
  held = 'h', -- an operator holds the lane
  undelivered = 'x', -- ended undelivered, and no newer delivery has made it good; by sequence
  suspect = 's', -- a write of unknown outcome, by sequence; read back after the next delivery of its path
  deferred = 'd', -- failed and due, but the lane was busy when its turn came; by sequence
}

local function member_of(kind, number, id) return kind .. ':' .. pad(number) .. ':' .. id end
local function number_of(member) return tonumber(member:sub(3, 18)) end
local function id_of(member) return member:sub(20) end

local function mark(lane, kind, number, id) redis.call('ZADD', lane, 0, member_of(kind, number, id)) end
local function unmark(lane, kind, number, id) redis.call('ZREM', lane, member_of(kind, number, id)) end

-- Members of one kind, the oldest first; `after` is a member, '' for the first.
local function members(lane, kind, after, limit)
  return redis.call('ZRANGEBYLEX', lane, after == '' and '[' .. kind .. ':' or '(' .. after, '(' .. kind .. ';', 'LIMIT', 0, limit)
end

-- The first of a kind: its number and its request; nil where there is none.
local function first(lane, kind)
  local found = members(lane, kind, '', 1)[1]
  if found then return number_of(found), id_of(found) end
end

-- A function that answers as `first` does, for all kinds by one look where the lane is short.
local SHORT = 24
local function look_at(lane)
  local all = redis.call('ZRANGE', lane, 0, SHORT - 1)
  if #all == SHORT then return function(kind) return first(lane, kind) end end
  local found = {}
  for i = #all, 1, -1 do found[all[i]:sub(1, 1)] = all[i] end
  return function(kind)
    if found[kind] then return number_of(found[kind]), id_of(found[kind]) end
  end
end
