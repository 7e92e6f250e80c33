-- Workflows: their records, what ends of them, and what is published about it.
-- include: _accept.lua
-- include: _events.lua
-- include: _hash.lua

local SCHEMA_OF_WORKFLOWS = 1
local ON_TIME_MS = 5000 -- what comes later than this is late

local NAMES = { 'account', 'jobId', 'description', 'catchUp', 'revision', 'notificationUrl', 'notificationHost', 'shown' }
local ARE_NUMBERS = { revision = true }
for _, task in ipairs({ 'activation', 'deactivation' }) do
  for _, name in ipairs({ 'at', 'notification', 'state', 'timer', 'firedAt', 'requestId', 'reason', 'notice' }) do NAMES[#NAMES + 1] = task .. '.' .. name end
  for _, name in ipairs({ 'at', 'notification', 'timer', 'firedAt' }) do ARE_NUMBERS[task .. '.' .. name] = true end
end

local TIMERS = P .. 'schedules:timers'
local function workflow_key(id) return P .. 'schedule:' .. id end
local function open_key(w) return P .. 'schedules:open:' .. quoted(w.account) .. ':' .. quoted(w.jobId) end

-- As `load_hash` has it.
local function read_workflow(id)
  local w, why = load_hash(workflow_key(id), NAMES, ARE_NUMBERS, SCHEMA_OF_WORKFLOWS)
  if w then w.id = id end
  return w, why
end

-- Whoever changes it from outside proves the revision, and the number of its job's.
local function change(w, fields)
  for i = 1, #fields, 2 do w[fields[i]] = ARE_NUMBERS[fields[i]] and tonumber(fields[i + 1]) or fields[i + 1] end
  w.revision = (w.revision or 0) + 1
  redis.call('HSET', workflow_key(w.id), 'revision', int(w.revision), unpack(fields))
  redis.call('HSET', open_key(w), '#', int(redis.call('INCR', P .. 'sequence')))
  if w['activation.state'] ~= 'pending' and w['deactivation.state'] ~= 'pending' then
    redis.call('HDEL', open_key(w), w.id)
  else
    redis.call('HSET', open_key(w), w.id, '1')
  end
end

local function void_timers(w, task)
  local ending = task .. ':' .. int(w[task .. '.timer']) .. ':' .. w.id
  redis.call('ZREM', TIMERS, ending, 'notify-' .. ending)
end

local function count(what) redis.call('HINCRBY', P .. 'schedules:counters', what, 1) end

local function publish_workflow(name, w, task, more)
  local fields = { workflow_id = w.id, job_id = w.jobId, account_id = w.account, task = task,
    time_utc = w[task .. '.at'] }
  for k, v in pairs(more) do fields[k] = v end
  publish('schedule-operations', name, cjson.encode(fields))
end

local function new_id() return (string.gsub(uuid(), '-', '')) end

-- A request that follows from what was accepted before, also on a full server.
local function ask(request, body)
  accept({ guards = {}, writes = {}, requests = { request }, recheck = {}, happenings = {}, notes = {},
    even_when_full = true }, function() return body end)
end

local function shown_task(w, task)
  local function member(name)
    local value = w[task .. '.' .. name]
    return value and ',"' .. name .. '":' .. (ARE_NUMBERS[task .. '.' .. name] and int(value) or cjson.encode(value)) or ''
  end
  return '"' .. task .. '":{"state":' .. cjson.encode(w[task .. '.state']) .. ',"time_utc":' .. int(w[task .. '.at'])
    .. member('notification') .. member('reason') .. member('notice') .. '}'
end

local ACTIONS = { activation = 'activate', deactivation = 'deactivate' }

-- Tell whoever wants to know of it. `shown` is what no script changes, as JSON text, byte for byte.
local function notify(w, task, before, reason)
  if not w.notificationUrl then return end
  local action = (before and 'notify-' or '') .. ACTIONS[task]
  local body = '{"action":"' .. action .. '","workflow":' .. string.sub(w.shown, 1, -2) .. ',' .. shown_task(w, 'activation')
    .. ',' .. shown_task(w, 'deactivation') .. '}'
    .. (reason and ',"error":' .. cjson.encode({ code = reason }) or '') .. '}'
  local path = '/workflows/' .. w.id
  local fields = { { 'jobId', w.jobId }, { 'workflowId', w.id }, { 'versionPath', path }, { 'repeatable', '1' } }
  if before then fields[#fields + 1] = { 'deadline', int(w[task .. '.at'] * 1000) } end
  ask({ id = new_id(), destination = 'notices:' .. w.notificationHost, lane = 'Workflow:' .. w.id, kind = 'notice', method = 'POST',
    path = w.notificationUrl, versionPath = path, forced = true, fields = fields, body = 1 }, body)
end

-- A task ends without having been done; an activation takes its deactivation with it, unless the job may
-- be active all the same.
local function fail(w, task, reason, maybe_active)
  count('failed:' .. task)
  publish_workflow('schedule-failed', w, task, { reason = reason })
  change(w, { task .. '.state', 'failed', task .. '.reason', reason })
  notify(w, task, false, reason)
  if task == 'activation' and w['deactivation.state'] == 'pending' and not maybe_active then
    void_timers(w, 'deactivation')
    change(w, { 'deactivation.state', 'cancelled', 'deactivation.reason', 'activation_failed' })
    publish_workflow('schedule-cancelled', w, 'deactivation', { reason = 'activation_failed' })
  end
end
