-- The paths under a content media that have delivered values, so that they are found again:
-- `media:{C}:delivered`.
-- include: _history.lua
-- include: _keys.lua

-- Note a path; false where its content media has so many of them that it isn't noted.
local MOST_PATHS = 500
local function note_path(r)
  if not r.media then return true end
  local key = media_key(r.media, 'delivered')
  if not redis.call('ZSCORE', key, r.versionPath) and redis.call('ZCARD', key) >= MOST_PATHS then return false end
  redis.call('ZADD', key, int(now), r.versionPath)
  redis.call('PEXPIRE', key, FIELDS_MS)
  return true
end

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
