#!lua flags=allow-oom
-- Audit: every record that isn't final stands where its state says, and nowhere else; what doesn't is mended.
--
-- ARGV[1] {cursor, limit, destinations: [name, …], …}
-- Result  {next cursor or "0", looked at, mended id, …}
-- include: _instances.lua
-- include: _lanes.lua
-- include: _states.lua
-- include: _wakeups.lua

local scan = redis.call('ZSCAN', P .. 'expiry', ctl.cursor, 'COUNT', ctl.limit)
local mended = {}

-- Where the record stands, as one word a place, in a fixed order.
local function standing(r)
  local lane = lane_key(r)
  local function has(kind, number) return redis.call('ZSCORE', lane, member_of(kind, number, r.id)) and kind or '' end
  local places = { has(MARK.waiting, r.seq), has(MARK.by_urgency, r.urgency or 0), has(MARK.live, r.seq), has(MARK.failed, r.seq),
    has(MARK.barrier, r.seq), has(MARK.undelivered, r.seq) }
  places[7] = redis.call('ZSCORE', P .. 'live:' .. r.destination, r.id) and 'L' or ''
  places[8] = redis.call('ZSCORE', P .. 'failed:' .. r.destination, r.id) and 'F' or ''
  places[9] = redis.call('ZSCORE', P .. 'requests:' .. r.state, r.id) and 'S' or ''
  places[10] = redis.call('ZSCORE', P .. 'finished', r.id) and 'E' or ''
  places[11] = redis.call('ZSCORE', P .. 'due:' .. r.destination, r.id) and 'D' or ''
  return table.concat(places)
end

local RIGHT = { pending = MARK.waiting .. MARK.by_urgency, live = MARK.live, failed = MARK.failed }
local SETS = { pending = 'S', live = 'LS', failed = 'FS' }

local function right(r)
  local there = standing(r)
  local wanted = RIGHT[r.state] .. (r.barrier and MARK.barrier or '') .. SETS[r.state]
  if there == wanted then return true end
  return r.state == 'failed' and there == wanted .. 'D'
end

local function clear(r)
  local lane = lane_key(r)
  for _, kind in ipairs({ MARK.waiting, MARK.live, MARK.failed, MARK.barrier, MARK.undelivered, MARK.deferred }) do
    unmark(lane, kind, r.seq, r.id)
  end
  unmark(lane, MARK.by_urgency, r.urgency or now, r.id)
  unmark(lane, MARK.head, 0, r.id)
  for _, set in ipairs({ 'pending:', 'live:', 'failed:', 'due:' }) do redis.call('ZREM', P .. set .. r.destination, r.id) end
  for _, state in ipairs({ 'new', 'pending', 'live', 'failed', 'delivered', 'rejected', 'expired', 'superseded', 'discarded' }) do
    redis.call('ZREM', P .. 'requests:' .. state, r.id)
  end
  redis.call('ZREM', P .. 'finished', r.id)
end

local function mend(r)
  clear(r)
  local state = r.state
  if state == 'live' or state == 'failed' then
    redis.call('ZADD', P .. 'requests:' .. state, int(r.seq), r.id)
    mark(lane_key(r), MARK[state], r.seq, r.id)
    if r.barrier then mark(lane_key(r), MARK.barrier, r.seq, r.id) end
    if state == 'live' then
      redis.call('ZADD', P .. 'live:' .. r.destination, int(r.leaseUntil or now), r.id)
    else
      redis.call('ZADD', P .. 'failed:' .. r.destination, int(r.nextTryAt or now), r.id)
    end
  else
    to_pending(r)
  end
end

local count = 0
for i = 1, #scan[2], 2 do
  count = count + 1
  local id = scan[2][i]
  local r, why = read(id)
  if why == 'absent' then
    redis.call('ZREM', P .. 'expiry', id)
    mended[#mended + 1] = id
  elseif r and not RIGHT[r.state] and r.state ~= 'new' then
    -- A script broke off after it had ended the record.
    clear(r)
    redis.call('ZREM', P .. 'kickoffs', id)
    redis.call('ZREM', P .. 'deadlines', id)
    if undelivered(r) then mark(lane_key(r), MARK.undelivered, r.seq, id) end
    redis.call('ZREM', P .. 'stale:undelivered', id)
    redis.call('ZADD', P .. 'requests:' .. r.state, int(r.seq), id)
    redis.call('ZADD', P .. 'finished', int(now), id)
    redis.call('ZREM', P .. 'expiry', id)
    mended[#mended + 1] = id
  elseif r and (r.state == 'new' or not right(r)) then
    mend(r)
    mended[#mended + 1] = id
  end
  if r then
    install_head(r)
    note_stale(r) -- the release before has not
  end
end

-- Entries of the buffers that belong to no such record.
local function mend_buffer(key, state)
  for _, id in ipairs(redis.call('ZRANGE', key, 0, 99)) do
    local place, why = read_place(id)
    if why == 'absent' or (place and place.state ~= state) then
      redis.call('ZREM', key, id)
      mended[#mended + 1] = id
    end
  end
end
for _, name in ipairs(ctl.destinations) do
  mend_buffer(P .. 'pending:' .. name, 'pending')
  mend_buffer(P .. 'live:' .. name, 'live')
  mend_buffer(P .. 'failed:' .. name, 'failed')
  mend_buffer(P .. 'due:' .. name, 'failed')
end
for set, belongs in pairs({ stale = may_become_shown, ['stale:undelivered'] = was_given_up }) do
  for _, id in ipairs(redis.call('ZRANGE', P .. set, 0, 9)) do
    local place, why = read_place(id)
    if why == 'absent' or (place and not belongs(place)) then redis.call('ZREM', P .. set, id) end
  end
end
for _, name in ipairs(ctl.destinations) do
  wake_if_work(name)
  forget_instance(name)
end
return { scan[1], count, unpack(mended) }
