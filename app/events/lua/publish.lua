#!lua
-- Publish: events appended to one topic in the order given, each guid once within its time.
--
-- ARGV[1] {topic, events: [[name, guid], …], guid_ms, log_length, idempotency?: digest, fingerprint?, seed}
-- ARGV[2…] their texts, stored byte for byte
-- Result  {"ok", sequence, 0 | 1, …}: 1 where the guid was known, with the sequence that it got then
--         {"mismatch"}: the Idempotency-Key belongs to another body | {"full"}
-- Without allow-oom on purpose: a full server refuses new work and drains what it has.
-- include: _log.lua

local topic = ctl.topic

local function guid_key(guid) return P .. 'log:' .. topic .. ':guid:' .. quoted(guid) end

local idem_key = ctl.idempotency and (P .. 'idempotency:' .. ctl.idempotency)
if idem_key then
  local seen = redis.call('HGET', idem_key, 'fingerprint')
  if seen and seen ~= ctl.fingerprint then return { 'mismatch' } end
end
if redis.call('EXISTS', P .. 'store:full') == 1 then return { 'full' } end
local known = {}
for _, event in ipairs(ctl.events) do
  known[event[2]] = tonumber(redis.call('GET', guid_key(event[2])))
end

-- From here on everything is written.
if idem_key then
  redis.call('HSET', idem_key, 'fingerprint', ctl.fingerprint)
  redis.call('PEXPIRE', idem_key, int(ctl.guid_ms))
end
local result = { 'ok' }
for i, event in ipairs(ctl.events) do
  local name, guid = event[1], event[2]
  local seen = known[guid]
  if not seen then
    known[guid] = append(topic, name, guid, ARGV[i + 1])
    redis.call('SET', guid_key(guid), int(known[guid]), 'PX', int(ctl.guid_ms))
  end
  result[#result + 1] = known[guid]
  result[#result + 1] = seen and 1 or 0
end
return result
