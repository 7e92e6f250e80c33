#!lua
-- Publish: append events to one topic in the order given, each guid once within its time.
--
-- ARGV[1] {topic, events: [[name, guid], …], guid_ms, spans: parts of that time in which guids are kept together,
--          log_length, idempotency?: digest, fingerprint?}
-- ARGV[2] the guids' digests, 10 bytes each; ARGV[3…] the events' texts, stored byte for byte
-- Result  {"ok", sequence, 0 | 1, …}: 1 where the guid was known, with the sequence that it got then
--         {"mismatch"}: the Idempotency-Key belongs to another body | {"full"}
-- Without allow-oom on purpose: a full server refuses new work and drains what it has.
-- include: _log.lua

local DIGEST = 10
local BESIDE = 250 -- bytes that an event takes beside its text: entry, name, guid and its digest
local topic = ctl.topic
local span_ms = ctl.guid_ms / ctl.spans
local span = math.floor(now / span_ms)

local function guids_key(n) return P .. 'log:' .. topic .. ':guids:' .. int(n) end

-- Those of the last day; of the next part where the clock was set back since.
local kept = {}
for n = span + 1, span - ctl.spans, -1 do
  if redis.call('EXISTS', guids_key(n)) == 1 then kept[#kept + 1] = guids_key(n) end
end
-- The release before kept a key for each guid, for a day.
local began = tonumber(redis.call('GET', P .. 'log:guids-since') or '')
local look_before = now - (began or now) <= ctl.guid_ms

local digests, needed = {}, 0
for i = 1, #ctl.events do
  digests[i] = string.sub(ARGV[2], (i - 1) * DIGEST + 1, i * DIGEST)
  needed = needed + BESIDE + #ARGV[i + 2] * 1.25
end

local function sequence_of_guid(digest, guid)
  for _, key in ipairs(kept) do
    local seen = redis.call('HGET', key, digest)
    if seen then return tonumber(seen) end
  end
  return look_before and tonumber(redis.call('GET', P .. 'log:' .. topic .. ':guid:' .. quoted(guid))) or nil
end

local idem_key = ctl.idempotency and (P .. 'idempotency:' .. ctl.idempotency)
if idem_key then
  local seen = redis.call('HGET', idem_key, 'fingerprint')
  if seen and seen ~= ctl.fingerprint then return { 'mismatch' } end
end
if redis.call('EXISTS', P .. 'store:full') == 1 then return { 'full' } end
-- The room for events that the memory tick has noted; no note: any amount.
local room = redis.call('GET', P .. 'store:events-room')
if room and tonumber(room) < needed then return { 'full' } end
local known = {}
for i, event in ipairs(ctl.events) do
  local guid = event[2]
  known[guid] = known[guid] or sequence_of_guid(digests[i], guid)
end

-- From here on everything is written.
if room then redis.call('DECRBY', P .. 'store:events-room', int(math.ceil(needed))) end
if not began then redis.call('SET', P .. 'log:guids-since', int(now)) end
if idem_key then
  redis.call('HSET', idem_key, 'fingerprint', ctl.fingerprint)
  redis.call('PEXPIRE', idem_key, int(ctl.guid_ms))
end
local result = { 'ok' }
for i, event in ipairs(ctl.events) do
  local name, guid = event[1], event[2]
  local seen = known[guid]
  if not seen then
    known[guid] = append(topic, name, guid, ARGV[i + 2])
    redis.call('HSET', guids_key(span), digests[i], int(known[guid]))
  end
  result[#result + 1] = known[guid]
  result[#result + 1] = seen and 1 or 0
end
redis.call('PEXPIRE', guids_key(span), int((span + 1) * span_ms - now + ctl.guid_ms))
return result
