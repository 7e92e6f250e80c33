-- Staleness: how long AVOS hasn't shown what was acknowledged. A PATCH of a content media is stale from
-- its acceptance on, or (`staleFrom`, where that is earlier) from that of the first change of which it
-- has taken over members that were never shown. `stale`: what still goes out; `stale:undelivered`: what
-- was rejected or has expired → since when.
-- include: _records.lua
-- include: _guards.lua
-- include: _versions.lua

local function stale_from(r) return r.staleFrom or r.createdAt or now end
local function has_staleness(r) return r.media and r.members end
local function may_become_shown(r) return r.state == 'pending' or r.state == 'live' or r.state == 'failed' end
local function was_given_up(r) return r.state == 'rejected' or r.state == 'expired' end

-- Put it where its state says, and nowhere else.
local function note_stale(r)
  if not has_staleness(r) then return end
  if may_become_shown(r) then
    redis.call('ZADD', P .. 'stale', int(stale_from(r)), r.id)
  else
    redis.call('ZREM', P .. 'stale', r.id)
    if was_given_up(r) then redis.call('ZADD', P .. 'stale:undelivered', int(stale_from(r)), r.id) end
  end
end

local function take_over(newer, from)
  if not has_staleness(newer) or from >= stale_from(newer) then return end
  newer.staleFrom = from
  redis.call('HSET', request_key(newer.id), 'staleFrom', int(from))
  for _, set in ipairs({ 'stale', 'stale:undelivered' }) do redis.call('ZADD', P .. set, 'XX', int(from), newer.id) end
end

-- What has waited, failed or ended undelivered until `newer` has set a member of it anew. What is live
-- hands on when it ends.
local function inherit(newer, older)
  if not has_staleness(older) or broken_guard(older) then return end
  if older.state == 'pending' or older.state == 'failed' or was_given_up(older) then take_over(newer, stale_from(older)) end
end

-- An attempt has ended: the members that newer requests have set, and that it hasn't shown (`r.shown`,
-- JSON), are theirs.
local function hand_on(r)
  if not has_staleness(r) or r.unwanted or r.shown == r.members then return end
  local names, shown, seen = members_of(r), {}, {}
  for _, name in ipairs(r.shown and cjson.decode(r.shown) or {}) do shown[name] = true end
  local entries = many(fields_key(r), prefixed('v:', names))
  for i, name in ipairs(names) do
    local seq, id = version(entries[i])
    if seq > r.seq and id ~= '' and not shown[name] and not seen[id] then
      seen[id] = true
      local newer = read(id)
      if newer then take_over(newer, stale_from(r)) end
    end
  end
end
