#!lua flags=allow-oom
-- Tick: look after consumers whose time has come: their rest is over, an event is to be tried again, a
-- wake-up or a worker was lost.
--
-- ARGV[1] {limit, lease_ms}
-- Result  how many were looked at; `limit`: there may be more
-- include: _base.lua
-- include: _consumer.lua
-- include: _hash.lua
-- include: _scheduling.lua
-- include: _set_back.lua
-- include: _waking.lua

-- Where the server's clock was set back, times that were noted before lie too far ahead: look at all
-- consumers.
local before = tonumber(redis.call('GET', P .. 'feeds:clock') or 0)
local back = now < before - 1000
redis.call('SET', P .. 'feeds:clock', int(now))

local function is_queued(f)
  local queue = f.queue or FAST
  return TEMPLATES[queue] and redis.call('LPOS', P .. queue, wake_message(queue, f.id, int(f.wakes)))
end

local function look_after(f)
  if f.state ~= 'active' then
    redis.call('ZREM', P .. 'feeds:due', f.id)
  elseif f.token then
    if f.leaseUntil and f.leaseUntil > now then
      redis.call('ZADD', P .. 'feeds:due', int(f.leaseUntil), f.id)
    else
      count(f, 'reclaims', 1)
      reschedule(f)
    end
  elseif f.wake then
    if is_queued(f) then
      redis.call('ZADD', P .. 'feeds:due', int(now + WAKE_MS), f.id)
    else
      wake_consumer(f.id, f.queue or FAST)
    end
  else
    reschedule(f)
  end
end

-- The message for a topic's listeners may be lost: then another may be sent.
local called = redis.call('HGETALL', P .. 'feeds:called')
for i = 1, #called, 2 do
  local topic, at = called[i], tonumber(called[i + 1])
  if (at + WAKE_MS < now or at > now)
    and not redis.call('LPOS', P .. FAST, fan_out_message(topic, int(at))) then
    redis.call('HDEL', P .. 'feeds:called', topic)
  end
end

local due = {}
if back then
  due = redis.call('ZRANGE', P .. 'feeds:due', 0, -1)
else
  for i, one in ipairs(entries(P .. 'feeds:due', '-inf', int(now), ctl.limit, load)) do due[i] = one[1] end
end
for _, id in ipairs(due) do
  local f, why = load(id) -- anew: looking after another one may have woken it
  if f then
    if back then set_back(f) end
    look_after(f)
  elseif why == 'absent' then
    redis.call('ZREM', P .. 'feeds:due', id)
  end
end
return back and 0 or #due
