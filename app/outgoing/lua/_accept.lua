-- Accept: a change and every request that it causes, or nothing. For scripts of any package; accept.lua
-- is the plain one.
--
-- A change is {guards: [[expected, command, key, …]], writes: [[command, key, arg…]], requests: [{…}],
--   recheck: [[destination, lane]], happenings: [[topic, name, payload]], notes: [[media, what, payload]],
--   idempotency?: {digest, fingerprint}, even_when_full?: it follows from what was accepted before}, as
--   app/outgoing/control.py makes it.
-- An argument of a write is text, {p: n} the n-th payload, {n: 1} the time in ms, {s: 1} a sequence number.
-- include: _requests.lua
-- include: _unchanged.lua
-- include: _wakeups.lua

-- Why a change can't be accepted now, as `accept` answers; nil where it can. Reads only: a script that
-- accepts several changes or none asks this of each first.
local function refusal(change)
  local idem = change.idempotency
  if idem then
    local seen = redis.call('HMGET', P .. 'idempotency:' .. idem.digest, 'fingerprint', 'ids')
    if seen[1] then
      if seen[1] ~= idem.fingerprint then return { 'mismatch' } end
      return { 'repeated', int(now), unpack(cjson.decode(seen[2])) }
    end
  end
  if not change.even_when_full and redis.call('EXISTS', P .. 'store:full') == 1 then return { 'full' } end
  for _, guard in ipairs(change.guards) do
    if answer_to(unpack(guard, 2)) ~= guard[1] then return { 'again' } end
  end
  return nil
end

-- The requests that change something.
local function wanted_of(change)
  local wanted = {}
  for _, q in ipairs(change.requests) do
    q.destination = instance_of(q.destination)
    if q.members then
      q.names = {}
      for i, member in ipairs(q.members) do q.names[i] = member[1] end
    end
    if not changes_nothing(q) then wanted[#wanted + 1] = q end
  end
  return wanted
end

local function write(words, payload)
  local command = {}
  for i, word in ipairs(words) do
    if type(word) ~= 'table' then command[i] = word
    elseif word.p then command[i] = payload(word.p)
    elseif word.n then command[i] = int(now)
    else command[i] = int(redis.call('INCR', P .. 'sequence')) end
  end
  if #command <= MOST_WORDS then
    redis.call(unpack(command))
  else
    chunked(table.remove(command, 1), table.remove(command, 1), command)
  end
end

-- What waits or has failed in a lane ends where a guard of it doesn't hold any more; what is live is
-- refused when it wants to send.
local function recheck(destination, lane)
  local r = { destination = destination, lane = lane }
  for _, kind in ipairs({ MARK.waiting, MARK.failed }) do
    for _, member in ipairs(members(lane_key(r), kind, '', -1)) do
      local open = read(id_of(member))
      local reason = open and broken_guard(open)
      if reason then supersede(open, nil, reason) end
    end
  end
  install_head(r)
end

-- `payload(n)` is the change's n-th payload.
-- Result: {"ok", now, ids…} | {"repeated", now, ids…} | {"again"} | {"mismatch"} | {"full"}
local function accept(change, payload)
  local refused = refusal(change)
  if refused then return refused end
  local wanted = wanted_of(change)
  -- From here on everything is written.
  for _, words in ipairs(change.writes) do write(words, payload) end
  -- What happened is published before what follows from it.
  for _, h in ipairs(change.happenings) do publish(h[1], h[2], payload(h[3])) end
  for _, n in ipairs(change.notes) do note(n[1], n[2], payload(n[3])) end
  for _, lane in ipairs(change.recheck) do recheck(lane[1], lane[2]) end
  local ids, touched = {}, {}
  for _, q in ipairs(wanted) do
    local has_record, waits = add_request(q, payload)
    if has_record then ids[#ids + 1] = q.id end
    if waits then touched[q.destination] = true end
  end
  local idem = change.idempotency
  if idem then
    local key = P .. 'idempotency:' .. idem.digest
    redis.call('HSET', key, 'fingerprint', idem.fingerprint, 'ids', #ids == 0 and '[]' or cjson.encode(ids))
    redis.call('PEXPIRE', key, 86400000)
  end
  for destination in pairs(touched) do wake(destination) end
  return { 'ok', int(now), unpack(ids) }
end
