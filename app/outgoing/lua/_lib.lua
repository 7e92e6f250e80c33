-- What all scripts of this room share. `docs/data-model.md` describes the keys.
--
-- Calling convention: KEYS[1] is the tenant's prefix; every key is built from it (one tenant lives on
-- one server, so keys need not be declared one by one). ARGV[1] is a JSON object with only ids, names
-- and numbers: payloads of users travel as further arguments and are stored byte for byte, because
-- cjson would turn [] into {} and round large integers.
-- `now` (ms) in ARGV[1] stands in for the server's clock in tests only.
local P = KEYS[1]
local ctl = cjson.decode(ARGV[1])
local NEVER = 9000000000000000 -- as a score: not before somebody changes it
local ENDED = 100000000000000 -- added to the urgency of what belongs to an ended event

local function int(n) return string.format('%d', n) end
local function pad(n) return string.format('%016d', n) end

local now
if ctl.now then
  now = ctl.now
else
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function quoted(s)
  return (string.gsub(s, '[^%w%-%._~]', function(c) return string.format('%%%02X', string.byte(c)) end))
end

-- Keys ---------------------------------------------------------------------------------------------
local function request_key(id) return P .. 'request:' .. id end
local function attempts_key(id) return P .. 'request:' .. id .. ':attempts' end
local function lane_key(r) return P .. 'lane:' .. r.destination .. ':' .. quoted(r.lane) end
local function fields_key(r) return P .. 'fields:' .. r.destination .. ':' .. r.versionPath end
local function media_key(media, what) return P .. 'media:' .. quoted(media) .. ':' .. what end

-- Unique ids from the caller's random seed (32 hex digits): a seed serves one call.
local made = 0
local function uuid()
  made = made + 1
  local s = ctl.seed
  return s:sub(1, 8) .. '-' .. s:sub(9, 12) .. '-' .. s:sub(13, 16) .. '-' .. s:sub(17, 20) .. '-'
    .. string.format('%012x', tonumber(s:sub(21, 30), 16) + made)
end

-- RFC 3339 with milliseconds, from ms since 1970 (days to civil date after Howard Hinnant).
local function iso(ms)
  local f = math.floor
  local s = f(ms / 1000)
  local days = f(s / 86400)
  local rest = s - days * 86400
  local z = days + 719468
  local era = f(z / 146097)
  local doe = z - era * 146097
  local yoe = f((doe - f(doe / 1460) + f(doe / 36524) - f(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + f(yoe / 4) - f(yoe / 100))
  local mp = f((5 * doy + 2) / 153)
  local m = mp < 10 and mp + 3 or mp - 9
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', yoe + era * 400 + (m <= 2 and 1 or 0), m,
    doy - f((153 * mp + 2) / 5) + 1, f(rest / 3600), f(rest % 3600 / 60), rest % 60, ms % 1000)
end

-- Records ------------------------------------------------------------------------------------------
local READ = { 'state', 'seq', 'destination', 'lane', 'kind', 'method', 'path', 'media', 'contentMediaId',
  'generation', 'members', 'urgency', 'eventEndAt', 'deadline', 'waived', 'firstFailedAt', 'ageFrom', 'token',
  'leaseUntil', 'sendingAt', 'attemptCount', 'reclaims', 'demoted', 'schema', 'nextTryAt', 'unknown',
  'sentMembers', 'sentLastModified', 'fence', 'livestreamId', 'versionPath', 'graceEndAt' }
local NUMBERS = { seq = true, generation = true, urgency = true, eventEndAt = true, deadline = true,
  firstFailedAt = true, ageFrom = true, leaseUntil = true, sendingAt = true, attemptCount = true,
  reclaims = true, schema = true, graceEndAt = true, nextTryAt = true, fence = true }

-- The record as a table with its id, absent fields nil; nil where there is none, or where it was written
-- by a newer release (its schema is left alone).
local function read(id)
  local values = redis.call('HMGET', request_key(id), unpack(READ))
  if not values[1] then return nil end
  local r = { id = id }
  for i, name in ipairs(READ) do
    local v = values[i]
    if v and v ~= '' then r[name] = NUMBERS[name] and tonumber(v) or v end
  end
  if (r.schema or 1) > 1 then return nil end
  r.seq = r.seq or 0
  r.barrier = r.method ~= 'PATCH'
  return r
end

local function members_of(r)
  if not r.members then return {} end
  return cjson.decode(r.members)
end

-- Members as they stand in `fields:`: `v:` a version, `d:` the value delivered last.
local function prefixed(prefix, names)
  local made = {}
  for i, name in ipairs(names) do made[i] = prefix .. name end
  return made
end

-- The number and the request that set a member last.
local function version(entry)
  if not entry then return 0, nil end
  local seq, id = string.match(entry, '^(%d+)|([^|]*)|')
  return tonumber(seq) or 0, id
end

-- Members that no newer request has set, and a request that set one of the others.
local function still_own(r)
  local names = members_of(r)
  local own, newer = {}, nil
  if #names == 0 then return own, newer, 0 end
  local entries = redis.call('HMGET', fields_key(r), unpack(prefixed('v:', names)))
  for i, name in ipairs(names) do
    local seq, id = version(entries[i])
    if seq <= r.seq then own[#own + 1] = name else newer = id end
  end
  return own, newer, #names
end

local function covered(r)
  if r.barrier then return false end
  local own, newer, count = still_own(r)
  return count > 0 and #own == 0, newer
end

-- A registration that was ended, or begun anew since, no longer answers for the request.
local function orphan(r)
  if not r.generation or r.generation == 0 then return false end
  local current = redis.call('HGET', P .. 'registrations:generation', r.media)
  return tonumber(current or 0) ~= r.generation
    or redis.call('HEXISTS', P .. 'registrations:active:media', r.media) == 0
end

-- The earlier of its deadline and the end of its event plus a grace, unless an operator has waived both.
local function deadline_of(r)
  if r.waived == '1' then return nil end
  if r.deadline and r.graceEndAt then return math.min(r.deadline, r.graceEndAt) end
  return r.deadline or r.graceEndAt
end

-- Lanes: one sorted set each, all scores 0, members `kind:number:id` in lexical order. Kinds:
--   w waiting, by sequence      u waiting, by urgency      f failed, by sequence      l live
--   b open barrier, by sequence r the runnable head        h held by an operator
--   x ended undelivered and not yet made good by a newer delivery
--   s suspect: a write of unknown outcome, to be read back after the next delivery
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
  if first(lane, 'h') or first(lane, 'l') then return end
  local found = redis.call('ZRANGEBYLEX', lane, '[d:', '(d;', 'LIMIT', 0, 100)
  for _, member in ipairs(found) do
    local id = member:sub(20)
    redis.call('ZREM', lane, member)
    if redis.call('ZSCORE', P .. 'failed:' .. r.destination, id) then
      redis.call('ZADD', P .. 'failed:' .. r.destination, int(NEVER), id)
      redis.call('ZADD', P .. 'due:' .. r.destination, redis.call('HGET', request_key(id), 'urgency') or int(now), id)
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

-- Event log and timeline ---------------------------------------------------------------------------
local function log(topic, name, fields)
  local sequence = redis.call('INCR', P .. 'log:' .. topic .. ':sequence')
  local guid = uuid()
  local envelope = cjson.encode({ eventName = name, originator = 'mediaops-sync', tenant = P:sub(1, -2),
    timestamp = iso(now), guid = guid })
  -- `versions` by hand: cjson writes an empty list as an object, and this one must stay a list.
  local event = envelope:sub(1, -2) .. ',"versions":["1.0"]'
    .. (fields == '{}' and '}' or (',' .. fields:sub(2)))
  redis.call('XADD', P .. 'log:' .. topic, 'MAXLEN', '~', int(ctl.log_length or 1000000), int(sequence) .. '-0',
    'event', event, 'name', name, 'guid', guid, 'at', int(now))
end

local function log_request(name, r, extra)
  local fields = { requestId = r.id, kind = r.kind, method = r.method, path = r.path,
    contentMediaId = r.contentMediaId, livestreamId = r.livestreamId, attempts = r.attemptCount or 0 }
  for k, v in pairs(extra or {}) do fields[k] = v end
  log('sync-operations', name, cjson.encode(fields))
end

local function note(media, what, detail)
  redis.call('XADD', media_key(media, 'timeline'), 'MAXLEN', '~', int(ctl.timeline_length or 500), '*',
    'at', int(now), 'what', what, 'detail', detail)
end

local function note_request(r, what, extra)
  if not r.media then return end
  local detail = { requestId = r.id, kind = r.kind, method = r.method }
  for k, v in pairs(extra or {}) do detail[k] = v end
  note(r.media, what, cjson.encode(detail))
end

-- Wake-ups -----------------------------------------------------------------------------------------
local function fill(template, replacements)
  return (string.gsub(template, '@@%u+%d?@@', replacements))
end

-- At most one "promote this destination" is outstanding for a second; a lost one is made good by the
-- next accept, finish or tick.
local function wake(destination)
  local d = redis.call('HMGET', P .. 'destination:' .. destination, 'paused', 'breaker')
  if d[1] then return end
  -- Behind an open breaker the ticks send the probes; with nothing failed, what is accepted next is one.
  if d[2] and redis.call('EXISTS', P .. 'failed:' .. destination) == 1 then return end
  if not redis.call('SET', P .. 'wake:' .. destination, '1', 'NX', 'PX', 1000) then return end
  redis.call('LPUSH', ctl.pending_queue, fill(ARGV[2], { ['@@ID1@@'] = uuid(), ['@@TAG@@'] = uuid(),
    ['@@ARG@@'] = destination }))
end

local function wake_if_work(destination)
  if redis.call('EXISTS', P .. 'pending:' .. destination) == 1 or redis.call('EXISTS', P .. 'due:' .. destination) == 1 then
    wake(destination)
  end
end

-- Changes of state ---------------------------------------------------------------------------------
-- Take a request out of wherever its state holds it. Its barrier mark stays until it is final.
local function leave(r)
  local lane = lane_key(r)
  if r.state == 'pending' then
    redis.call('ZREM', lane, 'w:' .. pad(r.seq) .. ':' .. r.id, 'u:' .. pad(r.urgency or now) .. ':' .. r.id,
      'r:' .. pad(0) .. ':' .. r.id)
    redis.call('ZREM', P .. 'pending:' .. r.destination, r.id)
  elseif r.state == 'live' then
    unmark(lane, 'l', r.seq, r.id)
    redis.call('ZREM', P .. 'live:' .. r.destination, r.id)
  elseif r.state == 'failed' then
    unmark(lane, 'f', r.seq, r.id)
    unmark(lane, 'd', r.seq, r.id)
    redis.call('ZREM', P .. 'failed:' .. r.destination, r.id)
    redis.call('ZREM', P .. 'due:' .. r.destination, r.id)
  else
    unmark(lane, 'x', r.seq, r.id)
    redis.call('ZREM', P .. 'finished', r.id)
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
  leave(r)
  enter(r, 'pending', { 'token', '', 'leaseUntil', '', 'nextTryAt', '', 'sendingAt', '' })
  local lane = lane_key(r)
  mark(lane, 'w', r.seq, r.id)
  mark(lane, 'u', r.urgency or now, r.id)
  if r.barrier then mark(lane, 'b', r.seq, r.id) end
end

-- End a request. `undelivered` leaves a mark that keeps its content media out of step.
local function finish_as(r, state, fields, undelivered)
  local lane = lane_key(r)
  local was_open = r.state == 'pending' or r.state == 'live' or r.state == 'failed'
  leave(r)
  if r.barrier then unmark(lane, 'b', r.seq, r.id) end
  local set = { 'finishedAt', int(now), 'token', '', 'leaseUntil', '', 'nextTryAt', '' }
  for _, v in ipairs(fields or {}) do set[#set + 1] = v end
  enter(r, state, set)
  if undelivered then mark(lane, 'x', r.seq, r.id) end
  redis.call('ZADD', P .. 'finished', int(now), r.id)
  redis.call('ZREM', P .. 'expiry', r.id)
  if deadline_of(r) then redis.call('ZREM', P .. 'deadlines', r.id) end
  if was_open then open_path(r, -1) end
end

local function supersede(r, by, reason)
  finish_as(r, 'superseded', { 'supersededBy', by or '', 'reason', reason }, false)
  note_request(r, 'superseded', { by = by, reason = reason })
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
  finish_as(r, 'rejected', { 'reason', code, 'error', detail }, true)
  log_request('sync-rejected', r, { code = code, detail = detail })
  note_request(r, 'rejected', { code = code, detail = detail })
end

local function to_expired(r)
  finish_as(r, 'expired', { 'expiredAt', int(now) }, true)
  log_request('sync-expired', r, {})
  note_request(r, 'expired', {})
end

-- A write of unknown outcome may still land later, against a far side whose lastModified is coarse: after the
-- lane's next delivery it is read back one lease later.
local function suspect(r)
  if r.media then mark(lane_key(r), 's', 0, '') end
end

local function schedule_read_back(r)
  local lane = lane_key(r)
  if first(lane, 's') then
    unmark(lane, 's', 0, '')
    redis.call('ZADD', P .. 'suspects:' .. r.destination, int(now + ctl.lease_ms), r.lane)
  end
end

-- An attempt that has begun to send and ends without a word of success: what AVOS has of these members now is
-- anybody's guess, so that nothing found there can be called somebody else's edit.
local function forget_delivered(r)
  if r.barrier or not r.sendingAt or not r.sentMembers then return end
  local names = cjson.decode(r.sentMembers)
  if #names > 0 then redis.call('HDEL', fields_key(r), unpack(prefixed('d:', names))) end
end

-- A request of another method may write any field of its content media.
local function forget_all_delivered(r)
  if not r.media then return end
  local seen = {}
  for _, id in ipairs(redis.call('ZREVRANGE', media_key(r.media, 'requests'), 0, 99)) do
    local path = redis.call('HGET', request_key(id), 'versionPath')
    if path and not seen[path] then
      seen[path] = true
      local key = fields_key({ destination = r.destination, versionPath = path })
      local gone = {}
      for _, field in ipairs(redis.call('HKEYS', key)) do
        if field:sub(1, 2) == 'd:' then gone[#gone + 1] = field end
      end
      if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
    end
  end
end

-- Breaker ------------------------------------------------------------------------------------------
-- `destination:{name}`: breaker ('open'), reason, detail, openedAt, probedAt, probedLane while it is open;
-- recoveringFrom, released after it has closed, until the failed table is released; notBefore while the far
-- side has asked for rest. `faults:{name}`: lanes that met a fault since the last good answer.
local function destination_key(name) return P .. 'destination:' .. name end

local function log_destination(name, destination, extra)
  extra.destination = destination
  log('sync-operations', name, cjson.encode(extra))
end

local function open_breaker(destination, reason, detail)
  local key = destination_key(destination)
  if redis.call('HGET', key, 'breaker') then return end
  redis.call('HSET', key, 'breaker', 'open', 'reason', reason, 'detail', detail, 'openedAt', int(now))
  redis.call('HDEL', key, 'recoveringFrom', 'released', 'probedAt', 'probedLane')
  redis.call('HINCRBY', key, 'opened', 1)
  log_destination('destination-opened', destination, { code = reason, detail = detail })
end

local function close_breaker(destination)
  local key = destination_key(destination)
  redis.call('DEL', P .. 'faults:' .. destination)
  local opened = redis.call('HGET', key, 'openedAt')
  if not opened then return end
  redis.call('HDEL', key, 'breaker', 'reason', 'detail', 'openedAt', 'probedAt', 'probedLane', 'notBefore')
  redis.call('HSET', key, 'recoveringFrom', int(now), 'released', '0')
  log_destination('destination-closed', destination, { openedAt = iso(tonumber(opened)) })
end

-- What an attempt says about its destination (`decide.Signal`): `good`, any answer of its own; `fault`, which
-- opens the breaker once it has come from enough lanes; `fatal`, which opens it at once; '' says nothing.
local function hear(r, signal, code, detail, rest_ms)
  local key = destination_key(r.destination)
  if rest_ms and rest_ms > 0 then
    local before = tonumber(redis.call('HGET', key, 'notBefore') or 0)
    redis.call('HSET', key, 'notBefore', int(math.max(before, now + rest_ms)))
  end
  if signal == 'good' then
    close_breaker(r.destination)
  elseif signal == 'fatal' then
    open_breaker(r.destination, code, detail)
  elseif signal == 'fault' then
    local faults = P .. 'faults:' .. r.destination
    redis.call('ZADD', faults, int(now), r.lane)
    redis.call('PEXPIRE', faults, 3600000)
    if redis.call('ZCARD', faults) >= ctl.breaker_threshold then open_breaker(r.destination, code, detail) end
  end
end
