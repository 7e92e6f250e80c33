#!lua flags=allow-oom
-- Unpark: deliver parked events once more, outside of any order, or give them up.
--
-- ARGV[1] {id, verb: retry | discard, keys: [topic|sequence, …] (empty: the oldest `limit`), limit,
--          before (ms)}
-- Result  an error where a newer release made it; how many
-- include: _base.lua
-- include: _consumer.lua
-- include: _hash.lua
-- include: _open.lua
-- include: _scheduling.lua

local f, why = load(ctl.id)
if why == 'newer' then return refuse_newer() end
if not f then return 0 end
local parked, why = consumer_key(f.id, 'parked'), consumer_key(f.id, 'parked:why')
local keys = ctl.keys
if #keys == 0 then
  keys = redis.call('ZRANGEBYSCORE', parked, '-inf', int(ctl.before), 'LIMIT', 0, ctl.limit)
end
local changed = 0
for _, key in ipairs(keys) do
  if redis.call('ZSCORE', parked, key) then
    changed = changed + 1
    if ctl.verb == 'retry' then
      local noted = redis.call('HGET', why, key)
      local previous = noted and cjson.decode(noted).previous or 0
      redis.call('ZADD', consumer_key(f.id, 'open'), AT_ONCE, key .. '|' .. int(previous) .. '|parked')
    end
    redis.call('ZREM', parked, key)
    redis.call('HDEL', why, key)
  end
end
-- A consumer that listens or rests has to be woken for them; a worker that has it finds them when it reads
-- on.
local idle = f.state == 'active' and not f.token and not f.wake
if changed > 0 and ctl.verb == 'retry' and idle then reschedule(f) end
return changed
