-- Changes of state: out of one place, into another; each keeps the invariant of docs/data-model.md.

-- Take a request out of wherever its state holds it. Its barrier mark stays until it is final.
local function leave(r)
  if r.state == 'new' then return end -- it stands nowhere yet
  local lane = lane_key(r)
  if r.state == 'pending' then
    redis.call('ZREM', lane, 'w:' .. pad(r.seq) .. ':' .. r.id, 'u:' .. pad(r.urgency or now) .. ':' .. r.id,
      'r:' .. pad(0) .. ':' .. r.id)
    redis.call('ZREM', P .. 'pending:' .. r.destination, r.id)
  elseif r.state == 'live' then
    unmark(lane, 'l', r.seq, r.id)
    redis.call('ZREM', P .. 'live:' .. r.destination, r.id)
    hand_on(r)
  elseif r.state == 'failed' then
    unmark(lane, 'f', r.seq, r.id)
    unmark(lane, 'd', r.seq, r.id)
    redis.call('ZREM', P .. 'failed:' .. r.destination, r.id)
    redis.call('ZREM', P .. 'due:' .. r.destination, r.id)
  else
    unmark(lane, 'x', r.seq, r.id)
    redis.call('ZREM', P .. 'finished', r.id)
    redis.call('ZREM', P .. 'stale:undelivered', r.id)
  end
  redis.call('ZREM', P .. 'requests:' .. r.state, r.id)
end

local function enter(r, state, fields)
  r.state = state
  redis.call('ZADD', P .. 'requests:' .. state, int(r.seq), r.id)
  redis.call('HSET', request_key(r.id), 'state', state, unpack(fields or {}))
  redis.call('HINCRBY', P .. 'counters', r.destination .. ':' .. state, 1)
end

-- How many open requests stand on a path: the versions of its fields are kept while there is one, and
-- then as long as a final record could still be retried.
local function open_path(r, by)
  local key = fields_key(r)
  local open = redis.call('HINCRBY', key, '#open', by)
  if open > 0 then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, int(ctl.keep_ms * 2 + 86400000)) end
end

local function to_pending(r)
  local was_open = may_become_shown(r)
  leave(r)
  enter(r, 'pending', { 'token', '', 'leaseUntil', '', 'nextTryAt', '', 'sendingAt', '' })
  local lane = lane_key(r)
  mark(lane, 'w', r.seq, r.id)
  mark(lane, 'u', r.urgency or now, r.id)
  if r.barrier then mark(lane, 'b', r.seq, r.id) end
  if not was_open then note_stale(r) end
end

-- Did what it was about never arrive? An operator who discards a request that sets no fields wants nothing any more.
local function undelivered(r)
  if r.state == 'discarded' then return #still_own(r) > 0 end
  return r.state == 'rejected' or r.state == 'expired'
end

-- End a request. One that is undelivered leaves a mark that keeps its content media out of step.
local function finish_as(r, state, fields)
  local lane = lane_key(r)
  local was_open = may_become_shown(r)
  leave(r)
  if r.barrier then unmark(lane, 'b', r.seq, r.id) end
  local set = { 'finishedAt', int(now), 'token', '', 'leaseUntil', '', 'nextTryAt', '' }
  for _, v in ipairs(fields or {}) do set[#set + 1] = v end
  enter(r, state, set)
  if undelivered(r) then mark(lane, 'x', r.seq, r.id) end
  redis.call('ZADD', P .. 'finished', int(now), r.id)
  redis.call('ZREM', P .. 'expiry', r.id)
  if r.urgentAt then redis.call('ZREM', P .. 'kickoffs', r.id) end
  if deadline_of(r) then redis.call('ZREM', P .. 'deadlines', r.id) end
  if was_open then open_path(r, -1) end
  note_stale(r)
end

local function supersede(r, by, reason)
  r.unwanted = reason == 'unregistered'
  finish_as(r, 'superseded', { 'supersededBy', by or '', 'reason', reason })
  note_request(r, 'superseded', { by = by, reason = reason })
end

-- A newer request that has set what this one was about and was delivered ('': planning has withdrawn it all), or nil.
local function made_good_by(r)
  local own, _, count, setters = still_own(r)
  if r.barrier or count == 0 or #own > 0 then return nil end
  for id in pairs(setters) do
    if id == '' or redis.call('HGET', request_key(id), 'state') == 'delivered' then return id end
  end
  return nil
end

-- Look at some of a lane's `x` marks, behind the one named `from` ('' for the oldest): what was made good is superseded, and
-- the mark of what is gone, or doesn't want to be delivered any more, goes. `delivered` has just been. Where to go on, or nil.
local MOST_MARKS = 100
local function clear_marks(lane, from, delivered)
  local marks = redis.call('ZRANGEBYLEX', lane, from == '' and '[x:' or '(' .. from, '(x;', 'LIMIT', 0, MOST_MARKS)
  for _, member in ipairs(marks) do
    local r, why = read(member:sub(20))
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

-- Keep the first 5 and the last 20 attempts.
local function add_attempt(r, attempt)
  local key = attempts_key(r.id)
  if redis.call('RPUSH', key, attempt) > 25 then
    redis.call('LSET', key, 5, '#')
    redis.call('LREM', key, 1, '#')
  end
end

local function expires_at(r)
  return math.min((r.ageFrom or now) + ctl.max_age_ms, deadline_of(r) or NEVER)
end

-- Into the failed table; the record's first failure is told to the world, the others stand in its history.
local function to_failed(r, code, detail, next_try_at)
  leave(r)
  local first_time = not r.firstFailedAt
  r.firstFailedAt = r.firstFailedAt or now
  r.ageFrom = r.ageFrom or now
  enter(r, 'failed', { 'firstFailedAt', int(r.firstFailedAt), 'ageFrom', int(r.ageFrom), 'nextTryAt', int(next_try_at),
    'token', '', 'leaseUntil', '', 'sendingAt', '', 'reason', code, 'error', detail, 'expiresAt', int(expires_at(r)) })
  mark(lane_key(r), 'f', r.seq, r.id)
  redis.call('ZADD', P .. 'failed:' .. r.destination, int(next_try_at), r.id)
  redis.call('ZADD', P .. 'expiry', int(expires_at(r)), r.id)
  if first_time then
    log_request('sync-failed', r, { code = code, detail = detail })
    note_request(r, 'failed', { code = code, detail = detail })
  end
end

local function to_rejected(r, code, detail)
  finish_as(r, 'rejected', { 'reason', code, 'error', detail })
  log_request('sync-rejected', r, { code = code, detail = detail })
  note_request(r, 'rejected', { code = code, detail = detail })
end

local function to_expired(r)
  finish_as(r, 'expired', { 'expiredAt', int(now) })
  log_request('sync-expired', r, {})
  note_request(r, 'expired', {})
end

-- A write of unknown outcome may still land later, against a far side whose lastModified is coarse: after the
-- next delivery it is read back one lease later. A content media is read as a whole, elsewhere each path for itself, and
-- only where fields of it were ever patched: there is nothing else to compare with.
local function suspect(r)
  if r.media or redis.call('HLEN', fields_key(r)) > 1 then mark(lane_key(r), 's', r.seq, r.id) end
end

-- `suspects:`: a content media's lane, or `Path:` and a path → when it is looked at. A time that is there already is moved
-- on: whoever is looking just now takes out only what it has found.
local function schedule_read_back(r)
  local lane = lane_key(r)
  local due = false
  for _, member in ipairs(redis.call('ZRANGEBYLEX', lane, '[s:', '(s;', 'LIMIT', 0, 100)) do
    local path = not r.media and redis.call('HGET', request_key(member:sub(20)), 'versionPath')
    if not path or path == r.versionPath then
      redis.call('ZREM', lane, member)
      due = true
    end
  end
  if not due then return end
  local key, name, at = P .. 'suspects:' .. r.destination, r.media and r.lane or 'Path:' .. r.versionPath, now + ctl.lease_ms
  if tonumber(redis.call('ZSCORE', key, name) or 0) == at then at = at + 1 end
  redis.call('ZADD', key, int(at), name)
end

-- An attempt that has begun to send and ends without a word of success: what AVOS has of these members now is
-- anybody's guess, so that nothing found there can be called somebody else's edit.
local function forget_delivered(r)
  if r.barrier or not r.sendingAt or not r.sentMembers then return end
  local names = cjson.decode(r.sentMembers)
  chunked('HDEL', fields_key(r), prefixed('d:', names))
end

-- Note that a path has delivered values; false where its content media has so many such paths that they wouldn't be
-- found again. `media:{C}:delivered`: the paths under it → when something was delivered there last.
local MOST_PATHS = 500
local function note_path(r)
  if not r.media then return true end
  local key = media_key(r.media, 'delivered')
  if not redis.call('ZSCORE', key, r.versionPath) and redis.call('ZCARD', key) >= MOST_PATHS then return false end
  redis.call('ZADD', key, int(now), r.versionPath)
  redis.call('PEXPIRE', key, int(ctl.keep_ms * 2 + 86400000))
  return true
end

local function forget_path(destination, path)
  local key = fields_key({ destination = destination, versionPath = path })
  local gone = {}
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if field:sub(1, 2) == 'd:' then gone[#gone + 1] = field end
  end
  chunked('HDEL', key, gone)
end

-- A request of another method may write any field of its content media, or of its own path.
local function forget_all_delivered(r)
  forget_path(r.destination, r.versionPath)
  if not r.media then return end
  local key = media_key(r.media, 'delivered')
  for _, path in ipairs(redis.call('ZRANGE', key, 0, -1)) do forget_path(r.destination, path) end
  redis.call('DEL', key)
  -- The release before has noted no paths; those of the newest requests are known.
  local done = { [r.versionPath] = true }
  for _, id in ipairs(redis.call('ZREVRANGE', media_key(r.media, 'requests'), 0, 99)) do
    local path = redis.call('HGET', request_key(id), 'versionPath')
    if path and not done[path] then forget_path(r.destination, path) end
    done[path or ''] = true
  end
end

-- How long deliveries took: `timing:{what}`, upper bounds in ms (`inf` above all) → how many, and `sum`, `count`.
local BOUNDS = { 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 1800000 }
local function count_time(what, ms)
  local bound = 'inf'
  for _, b in ipairs(BOUNDS) do
    if ms <= b then
      bound = int(b)
      break
    end
  end
  local key = P .. 'timing:' .. what
  redis.call('HINCRBY', key, bound, 1)
  redis.call('HINCRBY', key, 'sum', int(ms))
end

-- From acceptance to delivery; how long AVOS hadn't shown what it shows now; and, for what was accepted before its kick-off, how late it came after it (0: in time).
local function note_timing(r)
  count_time('delivery', math.max(0, now - r.createdAt))
  if has_staleness(r) then count_time('staleness', math.max(0, now - stale_from(r))) end
  if r.urgentAt and r.createdAt < r.urgentAt then count_time('lateness', math.max(0, now - r.urgentAt)) end
end
