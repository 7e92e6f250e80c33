#!lua flags=allow-oom
-- Fire: what is due goes to the Live API, each task of a workflow once: its request is written, and its
-- timer is gone. What is missed by more than the workflow allows has failed.
--
-- ARGV[1] {limit, destination, …}
-- Result  {how many were due: called again while that is `limit`, in how many ms the next is}
-- With allow-oom: a full server refuses new work, and these were taken on before.
-- include: _clock.lua
-- include: _workflows.lua

-- A request as `_accept.lua` wants it. That of a deactivation is wanted for as long as it isn't cancelled.
local function request_of(w, task)
  local action = ACTIONS[task]
  local path = '/accounts/' .. quoted(w.account) .. '/jobs/' .. quoted(w.jobId) .. '/' .. action
  local fields = { { 'jobId', w.jobId }, { 'urgentAt', int(w[task .. '.at'] * 1000) }, { 'versionPath', path },
    { 'workflowId', w.id }, { 'reportsTo', 'schedules:ended' } }
  if w.description then fields[#fields + 1] = { 'title', w.description } end
  local request = { id = new_id(), destination = ctl.destination, lane = 'Job:' .. w.account .. ':' .. w.jobId,
    kind = action, method = 'PUT', path = path, versionPath = path, forced = true, fields = fields,
    urgency = w[task .. '.at'] * 1000 }
  if task == 'activation' then
    -- It is of no use any more when the deactivation is due.
    fields[#fields + 1] = { 'deadline', int(w['deactivation.at'] * 1000) }
  else
    request.guards = cjson.encode({ { 'cancelled', 'pending', 'HGET', 'schedule:' .. w.id, task .. '.state' } })
  end
  return request
end

-- Whether it is too late for a task to be of use: for an activation, as the workflow says, and always when
-- its deactivation is due.
local function is_missed(w, task, late)
  if task == 'deactivation' then return false end
  if now >= w['deactivation.at'] * 1000 then return true end
  if w.catchUp == 'none' then return late > ON_TIME_MS end
  local seconds = tonumber(w.catchUp)
  return seconds ~= nil and late > math.max(seconds * 1000, ON_TIME_MS)
end

local BUCKETS_MS = { 50, 100, 250, 1000, 5000, 60000, 600000 } -- app/schedules/metrics.py has them too
local function note_lateness(late)
  for _, most in ipairs(BUCKETS_MS) do
    if late <= most then
      count('lateness:' .. most)
      break
    end
  end
  count('lateness:count')
  redis.call('HINCRBY', P .. 'schedules:counters', 'lateness:sum', int(math.max(0, late)))
end

local function fire(w, task)
  local late = now - w[task .. '.at'] * 1000
  if late > ON_TIME_MS then
    count('late:' .. task)
    redis.call('ZADD', P .. 'schedules:late', int(now), task .. ':' .. int(late) .. ':' .. w.id)
    redis.call('ZREMRANGEBYRANK', P .. 'schedules:late', 0, -21)
  end
  if is_missed(w, task, late) then
    count('missed:' .. task)
    return fail(w, task, 'missed')
  end
  note_lateness(late)
  local request = request_of(w, task)
  change(w, { task .. '.firedAt', int(now), task .. '.requestId', request.id })
  count('fired:' .. task)
  ask(request)
end

-- The notice before a task: one whose moment was missed isn't sent later.
local function fire_notice(w, task)
  local at = (w[task .. '.at'] - (w[task .. '.notification'] or 0)) * 1000
  local word = now - at > ON_TIME_MS and 'skipped' or 'sent'
  change(w, { task .. '.notice', word })
  count('notice-' .. word .. ':' .. task)
  if word == 'sent' then notify(w, task, true) end
end

local function is_due(w, task, timer)
  return w and w[task .. '.timer'] == timer and w[task .. '.state'] == 'pending' and not w[task .. '.firedAt']
end

local due = entries(TIMERS, '-inf', int(now), ctl.limit, function(member)
  return read_workflow(string.match(member, ':(%x+)$'))
end)
for _, one in ipairs(due) do
  local what, timer = string.match(one[1], '^([%l-]+):(%d+):')
  redis.call('ZREM', TIMERS, one[1])
  -- As it is now: an earlier one of this call may have changed it.
  local w = one[2] and read_workflow(one[2].id)
  local noticed = string.match(what, '^notify%-(%l+)$')
  if is_due(w, noticed or what, tonumber(timer)) then
    if noticed then fire_notice(w, noticed) else fire(w, what) end
  end
end
local following = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')
return { #due, following[2] and math.max(0, tonumber(following[2]) - now) or 3600000 }
