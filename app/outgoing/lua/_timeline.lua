-- The timeline of a content media.
-- include: _history.lua
-- include: _keys.lua

local function note(media, what, detail)
  local key = media_key(media, 'timeline')
  redis.call('XADD', key, 'MAXLEN', '~', TIMELINE_LENGTH, '*', 'at', int(now), 'what', what, 'detail', detail)
  redis.call('PEXPIRE', key, KEEP_MS) -- from its last entry on
end

local function note_request(r, what, extra)
  if not r.media then return end
  local detail = { requestId = r.id, kind = r.kind, method = r.method }
  for k, v in pairs(extra or {}) do detail[k] = v end
  note(r.media, what, cjson.encode(detail))
end
