#!lua flags=allow-oom
-- Sweep: failed requests whose next try has come, into the order in which they will be tried.
--
-- ARGV[1] {destination, until_ms?, limit, …}
-- Result  {how many were swept, the tick's time}: called again with that time while there are `limit` of them
-- include: _clock.lua
-- include: _marks.lua
-- include: _records.lua
-- include: _wakeups.lua

local destination = ctl.destination
local till = ctl.until_ms or now
local d = redis.call('HMGET', destination_key(destination), 'paused', 'breaker', 'recoveringFrom')
-- What a paused destination or an open breaker holds isn't swept: a tick costs the same however much that is.
if d[1] or d[2] then return { 0, int(till) } end
local failed, due = P .. 'failed:' .. destination, P .. 'due:' .. destination
local found = entries(failed, '-inf', int(till), ctl.limit, read_place)
local swept, urgent = {}, {}
for i, one in ipairs(found) do
  local id, place = one[1], one[2]
  swept[#swept + 1] = int(NEVER)
  swept[#swept + 1] = id
  urgent[#urgent + 1] = int(place and place.urgency or now)
  urgent[#urgent + 1] = id
  if #swept >= 1000 or i == #found then
    redis.call('ZADD', failed, unpack(swept))
    redis.call('ZADD', due, unpack(urgent))
    swept, urgent = {}, {}
  end
end
-- The clock was set back since these failed: their next try would have to wait until it has caught up.
if not ctl.until_ms then
  for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', failed, '(' .. int(NEVER), '(' .. int(till), 'LIMIT', 0, ctl.limit)) do
    local r = redis.call('HMGET', request_key(id), 'claimedAt', 'ageFrom', 'urgency')
    if read_place(id) and ((tonumber(r[1]) or 0) > now or (tonumber(r[2]) or 0) > now) then
      redis.call('ZADD', failed, int(NEVER), id)
      redis.call('ZADD', due, r[3] or int(now), id)
    end
  end
end

-- Has everything that stood in the table when the breaker closed had its turn since, whatever became of
-- it? What fails now is no part of that outage. Goes on by sequence from call to call: nothing behind
-- `recoveredTo` can be of before any more.
local function all_released(since)
  local key = destination_key(destination)
  local of, at = string.match(redis.call('HGET', key, 'recoveredTo') or '', '^(%d+):(%d+)$')
  if of ~= int(since) then at = '0' end
  local rest = entries(P .. 'requests:failed', '(' .. at, '+inf', ctl.limit, read)
  local waits = false
  for _, one in ipairs(rest) do
    local r = one[2]
    if r then
      local had_its_turn = redis.call('ZSCORE', lane_key(r), member_of(MARK.deferred, r.seq, r.id)) -- and found its lane busy
      waits = r.destination == destination and (r.claimedAt or 0) < since and not had_its_turn
      if waits then break end
      at = int(r.seq)
    end
  end
  redis.call('HSET', key, 'recoveredTo', int(since) .. ':' .. at)
  return not waits and #rest < ctl.limit
end

if d[3] and all_released(tonumber(d[3])) then
  redis.call('HDEL', destination_key(destination), 'recoveringFrom', 'released', 'recoveredTo')
end
wake_if_work(destination)
return { #found, int(till) }
