-- What the world and the workers are told: event log, timeline, wake-ups.
-- include: _log.lua
-- include: _messages.lua

local function log_request(name, r, extra)
  local fields = { requestId = r.id, kind = r.kind, method = r.method, path = r.path,
    contentMediaId = r.contentMediaId, livestreamId = r.livestreamId, attempts = r.attemptCount or 0 }
  for k, v in pairs(extra or {}) do fields[k] = v end
  publish('sync-operations', name, cjson.encode(fields))
end

local function note(media, what, detail)
  local key = media_key(media, 'timeline')
  redis.call('XADD', key, 'MAXLEN', '~', int(ctl.timeline_length or 500), '*', 'at', int(now), 'what', what, 'detail', detail)
  redis.call('PEXPIRE', key, int(ctl.keep_ms)) -- from its last entry on
end

local function note_request(r, what, extra)
  if not r.media then return end
  local detail = { requestId = r.id, kind = r.kind, method = r.method }
  for k, v in pairs(extra or {}) do detail[k] = v end
  note(r.media, what, cjson.encode(detail))
end

-- Wake-ups -----------------------------------------------------------------------------------------
-- At most one "promote this destination" waits in its queue; a lost one is made good after a second, by the
-- next accept, finish or tick.
local function wake_up(destination, n)
  local name = destination .. '-' .. n
  return message('promote', name, destination)
end

local function wake(destination)
  local d = redis.call('HMGET', P .. 'destination:' .. destination, 'paused', 'breaker')
  if d[1] or d[2] then return end -- behind an open breaker the tick of each second sends the probes
  if not redis.call('SET', P .. 'wake:' .. destination, '1', 'NX', 'PX', 1000) then return end
  local last = redis.call('HGET', P .. 'destination:' .. destination, 'wakes')
  if last and redis.call('LPOS', P .. 'pending', wake_up(destination, last)) then return end
  local n = redis.call('HINCRBY', P .. 'destination:' .. destination, 'wakes', 1)
  redis.call('LPUSH', P .. 'pending', wake_up(destination, int(n)))
end

local function wake_if_work(destination)
  if redis.call('EXISTS', P .. 'pending:' .. destination) == 1 or redis.call('EXISTS', P .. 'due:' .. destination) == 1 then
    wake(destination)
  end
end
