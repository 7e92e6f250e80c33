#!lua flags=allow-oom
-- Finish: what became of an attempt. Needs the claim's token; whoever lost the lease changes nothing.
--
-- ARGV[1] {id, token, state: delivered|failed|rejected|expired, code?, detail?, next_try_at?,
--         signal: good|fault|doubt|refused|fatal|'', rest_ms?, again_ms?, suspect?, …}
--         `again_ms`: tried again so soon, before the next tick
-- ARGV[2] the attempt (JSON, kept as it is); ARGV[3] the unknown outcome (JSON) or ''
-- Result  1, 2 where `marks` has more to look at, 0 where the claim was lost
-- include: _attempts.lua
-- include: _breaker.lua
-- include: _delivered.lua
-- include: _delivered_paths.lua
-- include: _destinations.lua
-- include: _events.lua
-- include: _flight.lua
-- include: _lanes.lua
-- include: _states.lua
-- include: _suspects.lua
-- include: _timing.lua
-- include: _versions.lua

local r = read(ctl.id)
if not r or r.state ~= 'live' or r.token ~= ctl.token then return 0 end
add_attempt(r, ARGV[2])
r.noted = { 'unknown', ARGV[3], 'reclaims', '0' }
if ARGV[3] ~= '' or ctl.suspect then suspect(r) end
if ctl.state ~= 'delivered' then forget_delivered(r) end
hear(r, ctl.signal, ctl.code, ctl.detail, ctl.rest_ms)

-- What was sent is what AVOS has now.
local function note_delivered()
  if r.barrier or not r.sentMembers then return end
  local names = cjson.decode(r.sentMembers)
  if #names == 0 then return end
  if not note_path(r) then return forget_delivered(r) end
  local values = many(request_key(r.id), prefixed('body:', names))
  local set = {}
  for i, name in ipairs(names) do
    if values[i] then
      set[#set + 1] = 'd:' .. name
      set[#set + 1] = values[i]
    end
  end
  chunked('HSET', fields_key(r), set)
end

-- A delivery makes good what older requests of the same path left undelivered; of more than some, later.
local more = false
local function make_good()
  -- include: _undelivered.lua
  more = clear_marks(lane_key(r), '', r) ~= nil
  if more then redis.call('HSET', P .. 'marks:' .. r.destination, r.lane, '') end
end

if ctl.state == 'delivered' then
  note_delivered()
  r.shown = r.sentMembers
  finish_as(r, 'delivered', { 'reason', '', 'error', '' })
  note_timing(r)
  local lane = look_at(lane_key(r))
  if lane(MARK.suspect) then schedule_read_back(r) end
  if lane(MARK.undelivered) then make_good() end
  publish_request('sync-delivered', r, {})
  if r.firstFailedAt then publish_request('sync-recovered', r, { firstFailedAt = iso(r.firstFailedAt) }) end
  note_request(r, 'delivered', { attempts = r.attemptCount })
else
  -- include: _ends.lua
  -- include: _guards.lua
  local reason = broken_guard(r)
  local done, newer = covered(r)
  if reason then
    supersede(r, nil, reason)
  elseif ctl.state == 'rejected' then
    to_rejected(r, ctl.code, ctl.detail)
  elseif done then
    supersede(r, newer, 'newer')
  elseif ctl.state == 'expired' then
    r.firstFailedAt = r.firstFailedAt or now
    for _, word in ipairs({ 'firstFailedAt', int(r.firstFailedAt), 'reason', ctl.code, 'error', ctl.detail }) do
      r.noted[#r.noted + 1] = word
    end
    to_expired(r)
  else
    to_failed(r, ctl.code, ctl.detail, math.max(now, ctl.next_try_at))
    -- An open breaker's closing sweeps the whole table.
    if ctl.again_ms and not redis.call('HGET', destination_key(r.destination), 'breaker') then
      redis.call('ZADD', P .. 'again:' .. r.destination, int(now + ctl.again_ms), r.id)
    end
  end
end
install_head(r)
-- Under a backlog, room is filled again a tenth of the bound at a time: a promotion for every request that
-- ends would cost a task each. What this leaves over, the tick promotes within a second.
if in_flight(r.destination) <= limits_of(r.destination).in_flight * 0.9 then wake_if_work(r.destination) end
return more and 2 or 1
