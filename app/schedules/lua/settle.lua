#!lua flags=allow-oom
-- Settle: what has become of requests to the Live API is written into their workflows.
--
-- ARGV[1] {limit, …}
-- Result  how many were looked at: called again while that is `limit`
-- include: _records.lua
-- include: _workflows.lua

local ENDED = P .. 'schedules:ended'
local DONE = { activation = 'schedule-activated', deactivation = 'schedule-deactivated' }

-- A person has had a failed activation tried again, and it was done: then it has to be undone in time, or
-- at once.
local function revive(w)
  if w['deactivation.reason'] ~= 'activation_failed' then return end
  redis.call('HDEL', workflow_key(w.id), 'deactivation.reason')
  change(w, { 'deactivation.state', 'pending' })
  redis.call('ZADD', TIMERS, int(w['deactivation.at'] * 1000), 'deactivation:' .. int(w['deactivation.timer']) .. ':' .. w.id)
end

local function settle(id)
  local found = redis.call('HMGET', request_key(id), 'state', 'workflowId', 'reason', 'unknown')
  local state, w = found[1], found[2] and read_workflow(found[2])
  if not w or state == 'pending' or state == 'live' or state == 'failed' then return end
  local task = w['activation.requestId'] == id and 'activation' or w['deactivation.requestId'] == id and 'deactivation'
  if not task or w[task .. '.state'] == 'finished' or w[task .. '.state'] == 'cancelled' then return end
  if state == 'delivered' then
    local at = w[task .. '.at'] * 1000
    local late = (w[task .. '.firedAt'] or at) - at
    publish_workflow(DONE[task], w, task, { late_s = late > ON_TIME_MS and late / 1000 or nil })
    redis.call('HDEL', workflow_key(w.id), task .. '.reason')
    change(w, { task .. '.state', 'finished' })
    notify(w, task, false)
    count('finished:' .. task)
    if task == 'activation' then
      revive(w)
      redis.call('ZADD', P .. 'schedules:watched', int(now), w.id) -- does its entry point become ready?
    end
  elseif w[task .. '.state'] == 'pending' then
    fail(w, task, found[3] and found[3] ~= '' and found[3] or state, found[4] and found[4] ~= '')
  end
end

local ended = redis.call('ZRANGE', ENDED, 0, ctl.limit - 1)
for _, id in ipairs(ended) do
  settle(id)
  redis.call('ZREM', ENDED, id)
end
return #ended
