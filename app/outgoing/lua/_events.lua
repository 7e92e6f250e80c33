-- What is published about a request.
-- include: _log.lua

local function publish_request(name, r, extra)
  local fields = { requestId = r.id, kind = r.kind, method = r.method, path = r.path,
    contentMediaId = r.contentMediaId, livestreamId = r.livestreamId, attempts = r.attemptCount or 0 }
  for k, v in pairs(extra or {}) do fields[k] = v end
  publish('sync-operations', name, cjson.encode(fields))
end
