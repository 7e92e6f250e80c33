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
