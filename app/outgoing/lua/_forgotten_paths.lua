-- What was delivered before is forgotten, for whole paths.
-- include: _keys.lua

local function forget_path(destination, path)
  local key = fields_key({ destination = destination, versionPath = path })
  local gone = {}
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if field:sub(1, 2) == 'd:' then gone[#gone + 1] = field end
  end
  chunked('HDEL', key, gone)
end

-- A request of another method may write any field of its content media, or of its own path.
local function forget_all_delivered(r)
  forget_path(r.destination, r.versionPath)
  if not r.media then return end
  local key = media_key(r.media, 'delivered')
  for _, path in ipairs(redis.call('ZRANGE', key, 0, -1)) do forget_path(r.destination, path) end
  redis.call('DEL', key)
  -- The release before has noted no paths; those of the newest requests are known.
  local done = { [r.versionPath] = true }
  for _, id in ipairs(redis.call('ZREVRANGE', media_key(r.media, 'requests'), 0, 99)) do
    local path = redis.call('HGET', request_key(id), 'versionPath')
    if path and not done[path] then forget_path(r.destination, path) end
    done[path or ''] = true
  end
end
