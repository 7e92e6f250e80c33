-- Writes of unknown outcome. One may still land later, against a far side whose lastModified is coarse:
-- after the next delivery its content media or path is read back, one lease later.
-- include: _destinations.lua
-- include: _keys.lua
-- include: _marks.lua

-- A content media is read as a whole; elsewhere each path for itself, and only where fields of it were
-- ever patched: there is nothing else to compare with.
local function suspect(r)
  if r.media or redis.call('HLEN', fields_key(r)) > 1 then mark(lane_key(r), MARK.suspect, r.seq, r.id) end
end

-- `suspects:`: a content media's lane, or `Path:` and a path → when it is looked at. A time that is there
-- already is moved on: whoever is looking just now takes out only what it has found.
local function schedule_read_back(r)
  local lane = lane_key(r)
  local due = false
  for _, member in ipairs(members(lane, MARK.suspect, '', 100)) do
    local path = not r.media and redis.call('HGET', request_key(id_of(member)), 'versionPath')
    if not path or path == r.versionPath then
      redis.call('ZREM', lane, member)
      due = true
    end
  end
  if not due then return end
  local key, name = P .. 'suspects:' .. r.destination, r.media and r.lane or 'Path:' .. r.versionPath
  local at = now + limits_of(r.destination).lease_ms
  if tonumber(redis.call('ZSCORE', key, name) or 0) == at then at = at + 1 end
  redis.call('ZADD', key, int(at), name)
end
