-- A new request: its record, its places, the versions of its members.
-- include: _clock.lua
-- include: _events.lua
-- include: _guards.lua
-- include: _instances.lua
-- include: _lanes.lua
-- include: _states.lua

-- Note the members' new versions, those of the record `r` where there is one. What waits or has failed
-- and keeps none of its own is superseded.
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

-- Write the record; as `read` would find it.
local function record(q, seq, payload)
  local fields = { 'schema', '1', 'state', 'new', 'seq', int(seq), 'createdAt', int(now), 'attemptCount', '0',
    'destination', q.destination, 'lane', q.lane, 'kind', q.kind, 'method', q.method, 'path', q.path,
    'urgency', int(q.urgency or now + 86400000) }
  local function add(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  for _, pair in ipairs(q.fields) do add(pair[1], pair[2]) end
  if q.guards then
    add('guards', q.guards)
    add('generation', generation_of(guards_of(q)))
  end
  if q.members then
    add('members', cjson.encode(q.names))
    for _, member in ipairs(q.members) do
      if member[3] then add('body:' .. member[1], payload(member[3])) end
    end
  elseif q.body then
    add('body', payload(q.body))
  end
  chunked('HSET', request_key(q.id), fields)
  return from_fields(q.id, fields)
end

local function reject_new(r, code, detail)
  finish_as(r, 'rejected', { 'reason', code, 'error', detail })
  open_path(r, -1)
  publish_request('sync-rejected', r, { code = code, detail = detail })
  note_request(r, 'rejected', { code = code, detail = detail })
end

local function queue_new(r, forced)
  to_pending(r)
  if r.urgentAt then redis.call('ZADD', P .. 'kickoffs', int(r.urgentAt), r.id) end
  if deadline_of(r) then redis.call('ZADD', P .. 'deadlines', int(deadline_of(r)), r.id) end
  note_request(r, 'accepted', { forced = forced })
  redis.call('HINCRBY', P .. 'counters', r.destination .. ':accepted', 1)
end

-- Write a request as `change.requests` has it: whether it has a record, and whether it waits to be sent.
local function add_request(q, payload)
  local seq = redis.call('INCR', P .. 'sequence')
  if q.empty and not q.forced and not q.rejected then
    -- Planning has no value for any member: older values must not be sent any more, and there is nothing
    -- to send instead.
    set_versions({ destination = q.destination, versionPath = q.versionPath, members = q.members, names = q.names, id = '' }, seq)
    open_path(q, 0)
    install_head(q)
    return false, false
  end
  -- First into the index of all open records: whatever happens after, the audit finds it there.
  redis.call('ZADD', P .. 'expiry', int(NEVER), q.id)
  local r = record(q, seq, payload)
  redis.call('ZADD', P .. 'requests', int(seq), q.id)
  if r.media then redis.call('ZADD', media_key(r.media, 'requests'), int(seq), q.id) end
  note_instance(q.destination)
  open_path(r, 1)
  if q.rejected then reject_new(r, q.rejected, q.rejected_detail) else queue_new(r, q.forced) end
  set_versions(q, seq, r)
  install_head(q)
  return true, not q.rejected
end
