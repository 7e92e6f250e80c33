-- Changes of state: out of one place, into another; each keeps the invariant of docs/data-model.md.
-- include: _history.lua
-- include: _marks.lua
-- include: _staleness.lua
-- include: _timeline.lua

-- Take a request out of wherever its state holds it. Its barrier mark stays until it is final.
local function leave(r)
  if r.state == 'new' then return end -- it stands nowhere yet
  local lane = lane_key(r)
  if r.state == 'pending' then
    redis.call('ZREM', lane, member_of(MARK.waiting, r.seq, r.id), member_of(MARK.by_urgency, r.urgency or now, r.id),
      member_of(MARK.head, 0, r.id))
    redis.call('ZREM', P .. 'pending:' .. r.destination, r.id)
  elseif r.state == 'live' then
    unmark(lane, MARK.live, r.seq, r.id)
    redis.call('ZREM', P .. 'live:' .. r.destination, r.id)
    hand_on(r)
  elseif r.state == 'failed' then
    redis.call('ZREM', lane, member_of(MARK.failed, r.seq, r.id), member_of(MARK.deferred, r.seq, r.id))
    redis.call('ZREM', P .. 'failed:' .. r.destination, r.id)
    redis.call('ZREM', P .. 'due:' .. r.destination, r.id)
  else
    unmark(lane, MARK.undelivered, r.seq, r.id)
    redis.call('ZREM', P .. 'finished', r.id)
    redis.call('ZREM', P .. 'stale:undelivered', r.id)
  end
  redis.call('ZREM', P .. 'requests:' .. r.state, r.id)
end

-- `r.noted`: fields that the script has to write, and writes with the state.
local function enter(r, state, fields)
  r.state = state
  local set = { 'state', state }
  for _, some in ipairs({ r.noted or {}, fields }) do
    for _, word in ipairs(some) do set[#set + 1] = word end
  end
  r.noted = nil
  redis.call('ZADD', P .. 'requests:' .. state, int(r.seq), r.id)
  redis.call('HSET', request_key(r.id), unpack(set))
  redis.call('HINCRBY', P .. 'counters', r.destination .. ':' .. state, 1)
end

-- How many open requests stand on a path: the versions of its fields are kept while there is one, and
-- then as long as a final record could still be retried.
local function open_path(r, by)
  local key = fields_key(r)
  local open = redis.call('HINCRBY', key, '#open', by)
  if open > 0 then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, FIELDS_MS) end
end

local function to_pending(r)
  local was_open = may_become_shown(r)
  leave(r)
  enter(r, 'pending', { 'token', '', 'leaseUntil', '', 'nextTryAt', '', 'sendingAt', '' })
  redis.call('ZADD', lane_key(r), 0, member_of(MARK.waiting, r.seq, r.id), 0, member_of(MARK.by_urgency, r.urgency or now, r.id))
  if r.barrier then mark(lane_key(r), MARK.barrier, r.seq, r.id) end
  if not was_open then note_stale(r) end
end

-- Did what it was about never arrive? An operator who discards a request that sets no fields wants
-- nothing any more.
local function undelivered(r)
  if r.state == 'discarded' then return #still_own(r) > 0 end
  return r.state == 'rejected' or r.state == 'expired'
end

-- End a request. One that is undelivered leaves a mark that keeps its content media out of step.
local function finish_as(r, state, fields)
  local lane = lane_key(r)
  local was_open = may_become_shown(r)
  leave(r)
  if r.barrier then unmark(lane, MARK.barrier, r.seq, r.id) end
  local set = { 'finishedAt', int(now), 'token', '', 'leaseUntil', '', 'nextTryAt', '' }
  for _, word in ipairs(fields) do set[#set + 1] = word end
  enter(r, state, set)
  if undelivered(r) then mark(lane, MARK.undelivered, r.seq, r.id) end
  redis.call('ZADD', P .. 'finished', int(now), r.id)
  redis.call('ZREM', P .. 'expiry', r.id)
  if r.urgentAt then redis.call('ZREM', P .. 'kickoffs', r.id) end
  if deadline_of(r) then redis.call('ZREM', P .. 'deadlines', r.id) end
  if was_open then open_path(r, -1) end
  note_stale(r)
  -- Whoever asked for it looks at it there.
  if r.reportsTo then redis.call('ZADD', P .. r.reportsTo, int(now), r.id) end
end

-- By a newer request, or (without `by`) because a guard of it doesn't hold any more: then nobody waits
-- for it.
local function supersede(r, by, reason)
  r.unwanted = by == nil
  finish_as(r, 'superseded', { 'supersededBy', by or '', 'reason', reason })
  note_request(r, 'superseded', { by = by, reason = reason })
end
