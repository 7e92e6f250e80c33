-- How attempts end without a delivery.
-- include: _age.lua
-- include: _events.lua
-- include: _states.lua

-- Into the failed table. The record's first failure is published; the others stand in its history.
local function to_failed(r, code, detail, next_try_at)
  leave(r)
  local first_time = not r.firstFailedAt
  r.firstFailedAt = r.firstFailedAt or now
  r.ageFrom = r.ageFrom or now
  enter(r, 'failed', { 'firstFailedAt', int(r.firstFailedAt), 'ageFrom', int(r.ageFrom), 'nextTryAt', int(next_try_at),
    'token', '', 'leaseUntil', '', 'sendingAt', '', 'reason', code, 'error', detail, 'expiresAt', int(expires_at(r)) })
  mark(lane_key(r), MARK.failed, r.seq, r.id)
  redis.call('ZADD', P .. 'failed:' .. r.destination, int(next_try_at), r.id)
  redis.call('ZADD', P .. 'expiry', int(expires_at(r)), r.id)
  if first_time then
    publish_request('sync-failed', r, { code = code, detail = detail })
    note_request(r, 'failed', { code = code, detail = detail })
  end
end

local function to_rejected(r, code, detail)
  finish_as(r, 'rejected', { 'reason', code, 'error', detail })
  publish_request('sync-rejected', r, { code = code, detail = detail })
  note_request(r, 'rejected', { code = code, detail = detail })
end

local function to_expired(r)
  finish_as(r, 'expired', { 'expiredAt', int(now) })
  publish_request('sync-expired', r, {})
  note_request(r, 'expired', {})
end
