#!lua flags=allow-oom
-- Begin: immediately before sending. Checks token, lease, guards and age, and claims the members
-- that no newer request has set; extends the lease for the sending itself.
--
-- ARGV[1] {id, token, …}; ARGV[2] the lastModified that will be sent, or ''
-- Result  nil: nothing may be sent; else {now, content type, body or '', member, JSON, member, JSON, …}
-- include: _age.lua
-- include: _delivered.lua
-- include: _destinations.lua
-- include: _guards.lua
-- include: _records.lua
-- include: _versions.lua

local r = read(ctl.id)
if not r or r.state ~= 'live' or r.token ~= ctl.token or r.leaseUntil <= now then return false end

-- Nothing may be sent: it is superseded for a `reason` (by a `newer` request), or has expired where there is none.
local function ended(reason, newer)
  -- include: _ends.lua
  -- include: _lanes.lua
  -- include: _suspects.lua
  -- include: _wakeups.lua
  if reason then supersede(r, newer, reason) else to_expired(r) end
  -- An earlier sending of this attempt may have been applied, or may be yet.
  if r.sendingAt then
    forget_delivered(r)
    suspect(r)
  end
  install_head(r)
  wake_if_work(r.destination)
  return false
end

local reason = broken_guard(r)
if reason then return ended(reason) end
if r.ageFrom and now >= expires_at(r) then return ended() end

local answer = { int(now) }
local key = request_key(r.id)
local lease_until = now + limits_of(r.destination).lease_ms
local note_sending = { 'sendingAt', int(now), 'leaseUntil', int(lease_until), 'sentLastModified', ARGV[2] }
local content = redis.call('HMGET', key, 'contentType', 'body')
answer[2] = content[1] or 'application/json'
answer[3] = content[2] or ''
if not r.barrier then
  local own, newer, count = still_own(r)
  if count > 0 and #own == 0 then return ended('newer', newer) end
  local sent = {}
  local values = #own > 0 and many(key, prefixed('body:', own)) or {}
  for i, name in ipairs(own) do
    if values[i] then
      answer[#answer + 1] = name
      answer[#answer + 1] = values[i]
      sent[#sent + 1] = name
    end
  end
  -- What an earlier sending of this attempt held and this one doesn't is forgotten here; the rest when it
  -- ends.
  if r.sendingAt and r.sentMembers and #cjson.decode(r.sentMembers) ~= #sent then forget_delivered(r) end
  note_sending[#note_sending + 1] = 'sentMembers'
  note_sending[#note_sending + 1] = #sent == 0 and '[]' or cjson.encode(sent)
end
if r.barrier then
  -- include: _forgotten_paths.lua
  forget_all_delivered(r)
end
redis.call('HSET', key, unpack(note_sending))
redis.call('ZADD', P .. 'live:' .. r.destination, int(lease_until), r.id)
return answer
