#!lua
-- Accept: the planning or registration change and every request it causes, or nothing.
--
-- ARGV[1] {guards: [[expected, command…]], writes: [[command, key, arg…]], requests: [{…}],
--          unregistered: [media], happenings: [[topic, name, payload]], notes: [[media, what, payload]],
--          idempotency?: {digest, fingerprint}, seed, …}
--         A write's argument is text, {p: n} the n-th payload, {n: 1} the time in ms, {s: 1} a sequence number.
-- ARGV[2…] the payloads
-- Result  {"ok", now, ids…} | {"repeated", now, ids…} | {"again"} | {"mismatch"} | {"full"}
-- Without allow-oom on purpose: a full server refuses new work and drains what it has.
-- include: _clock.lua
-- include: _events.lua
-- include: _instances.lua
-- include: _lanes.lua
-- include: _staleness.lua
-- include: _states.lua
-- include: _versions.lua
-- include: _wakeups.lua

local function payload(n) return ARGV[n + 1] end

local idem = ctl.idempotency
local idem_key = idem and (P .. 'idempotency:' .. idem.digest)
if idem then
  local seen = redis.call('HMGET', idem_key, 'fingerprint', 'ids')
  if seen[1] then
    if seen[1] ~= idem.fingerprint then return { 'mismatch' } end
    return { 'repeated', int(now), unpack(cjson.decode(seen[2])) }
  end
end
if redis.call('EXISTS', P .. 'store:full') == 1 then return { 'full' } end
for _, guard in ipairs(ctl.guards) do
  local answer = redis.call(unpack(guard, 2))
  if type(answer) == 'table' then answer = answer[1] end
  if (answer or '') ~= guard[1] then return { 'again' } end
end

-- May the request that asked for a value last still deliver it, or has it? One of an earlier registration is refused when
-- it wants to send.
local ENDED_UNDELIVERED = { rejected = true, expired = true, discarded = true, superseded = true }
local function stands(id, q)
  local by = redis.call('HMGET', request_key(id), 'state', 'generation')
  if not by[1] or ENDED_UNDELIVERED[by[1]] then return false end
  local generation = tonumber(by[2] or 0)
  return by[1] == 'delivered' or generation == 0 or generation == q.generation
end

-- Is each member's newest desired value this one already, and not ended undelivered? (A→B→A must queue
-- A, so the comparison is with what was asked for last, never with what was delivered last.)
local function changes_nothing(q)
  if q.forced or not q.members or #q.names == 0 then return false end
  local newest = many(fields_key(q), prefixed('v:', q.names))
  for i, member in ipairs(q.members) do
    local entry = newest[i]
    if not entry then
      if member[2] ~= '-' then return false end
    else
      local _, id, digest = string.match(entry, '^(%d+)|([^|]*)|(.*)$')
      if digest ~= member[2] then return false end
      if id ~= '' and not q.rejected and not stands(id, q) then return false end
    end
  end
  return true
end

local wanted = {}
for _, q in ipairs(ctl.requests) do
  q.destination = instance_of(q.destination)
  if q.members then
    q.names = {}
    for i, member in ipairs(q.members) do q.names[i] = member[1] end
  end
  if not changes_nothing(q) then wanted[#wanted + 1] = q end
end

-- From here on everything is written.
for _, write in ipairs(ctl.writes) do
  local command = {}
  for i, arg in ipairs(write) do
    if type(arg) ~= 'table' then command[i] = arg
    elseif arg.p then command[i] = payload(arg.p)
    elseif arg.n then command[i] = int(now)
    else command[i] = int(redis.call('INCR', P .. 'sequence')) end
  end
  if #command <= MOST_WORDS then
    redis.call(unpack(command))
  else
    chunked(table.remove(command, 1), table.remove(command, 1), command)
  end
end

-- What happened is published before what follows from it.
for _, h in ipairs(ctl.happenings) do publish(h[1], h[2], payload(h[3])) end
for _, n in ipairs(ctl.notes) do note(n[1], n[2], payload(n[3])) end

-- Ending a registration ends what waits for it; what is live is refused when it wants to send.
for _, media in ipairs(ctl.unregistered) do
  local r = { destination = 'avos', lane = media }
  for _, kind in ipairs({ MARK.waiting, MARK.failed }) do
    for _, member in ipairs(members(lane_key(r), kind, '', -1)) do
      local open = read(id_of(member))
      if open and open.generation and open.generation > 0 then supersede(open, nil, 'unregistered') end
    end
  end
  install_head(r)
end

-- Note the members' new versions, those of the record `r` where there is one; what waits or has failed and keeps none of its own is superseded.
local function set_versions(q, seq, r)
  if not q.members or #q.names == 0 then return end
  local key = fields_key(q)
  local before = many(key, prefixed('v:', q.names))
  local set = {}
  for _, member in ipairs(q.members) do
    set[#set + 1] = 'v:' .. member[1]
    set[#set + 1] = int(seq) .. '|' .. q.id .. '|' .. member[2]
  end
  chunked('HSET', key, set)
  local seen = {}
  for _, entry in ipairs(before) do
    local _, id = version(entry)
    if id and id ~= '' and not seen[id] then
      seen[id] = true
      local older = read(id)
      if older and r then inherit(r, older) end
      if older and (older.state == 'pending' or older.state == 'failed') and covered(older) then
        supersede(older, q.id, 'newer')
        install_head(older)
      end
    end
  end
end

local function record(q, seq)
  local fields = { 'schema', '1', 'state', 'new', 'seq', int(seq), 'createdAt', int(now), 'attemptCount', '0',
    'destination', q.destination, 'lane', q.lane, 'kind', q.kind, 'method', q.method, 'path', q.path,
    'urgency', int(q.urgency or now + 86400000) }
  for _, pair in ipairs(q.fields) do
    fields[#fields + 1] = pair[1]
    fields[#fields + 1] = pair[2]
  end
  if q.members then
    fields[#fields + 1] = 'members'
    fields[#fields + 1] = cjson.encode(q.names)
    for _, member in ipairs(q.members) do
      if member[3] then
        fields[#fields + 1] = 'body:' .. member[1]
        fields[#fields + 1] = payload(member[3])
      end
    end
  elseif q.body then
    fields[#fields + 1] = 'body'
    fields[#fields + 1] = payload(q.body)
  end
  chunked('HSET', request_key(q.id), fields)
end

local result = { 'ok', int(now) }
local ids = {}
local touched = {}
for _, q in ipairs(wanted) do
  note_instance(q.destination)
  local seq = redis.call('INCR', P .. 'sequence')
  if q.empty and not q.forced and not q.rejected then
    -- Planning has no value for any member: older values must not be sent any more, and there is
    -- nothing to send instead.
    set_versions({ destination = q.destination, versionPath = q.versionPath, members = q.members, names = q.names, id = '' }, seq)
    open_path(q, 0)
  else
    -- First into the index of all open records: whatever happens after, the audit finds it there.
    redis.call('ZADD', P .. 'expiry', int(NEVER), q.id)
    record(q, seq)
    local r = read(q.id)
    redis.call('ZADD', P .. 'requests', int(seq), q.id)
    if r.media then redis.call('ZADD', media_key(r.media, 'requests'), int(seq), q.id) end
    open_path(r, 1)
    r.state = 'new'
    if q.rejected then
      finish_as(r, 'rejected', { 'reason', q.rejected, 'error', q.rejected_detail })
      open_path(r, -1)
      publish_request('sync-rejected', r, { code = q.rejected, detail = q.rejected_detail })
      note_request(r, 'rejected', { code = q.rejected, detail = q.rejected_detail })
    else
      to_pending(r)
      if r.urgentAt then redis.call('ZADD', P .. 'kickoffs', int(r.urgentAt), q.id) end
      if deadline_of(r) then redis.call('ZADD', P .. 'deadlines', int(deadline_of(r)), q.id) end
      note_request(r, 'accepted', { forced = q.forced })
      redis.call('HINCRBY', P .. 'counters', q.destination .. ':accepted', 1)
      touched[q.destination] = true
    end
    set_versions(q, seq, r)
    ids[#ids + 1] = q.id
  end
  install_head(q)
end

if idem then
  redis.call('HSET', idem_key, 'fingerprint', idem.fingerprint, 'ids', #ids == 0 and '[]' or cjson.encode(ids))
  redis.call('PEXPIRE', idem_key, 86400000)
end
for destination in pairs(touched) do wake(destination) end
for _, id in ipairs(ids) do result[#result + 1] = id end
return result
