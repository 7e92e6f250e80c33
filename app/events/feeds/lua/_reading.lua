-- What a worker gets of the log: bounded in events, bytes and entries looked at.
-- include: _feeds.lua

local LOOKED = 1000 -- entries looked at in one call, where most are of other names
local LONGEST_CHUNK = 128
local MOST_OPEN = 2000 -- events of an unordered feed that are under way or wait for a retry: then nothing new is begun
local FAILING = 5 -- failures in a row, and one event finds out whether it is over

local function sequence_of(entry) return tonumber(string.match(entry[1], '^%d+')) end

local function values_of(entry)
  local values = {}
  for i = 1, #entry[2], 2 do values[entry[2][i]] = entry[2][i + 1] end
  return values
end

-- The tries of an event so far, `n|first failed at`, or nothing.
local function tries_of(f, key)
  if f.tried == nil then f.tried = redis.call('EXISTS', feed_key(f.id, 'attempts')) == 1 end
  return f.tried and redis.call('HGET', feed_key(f.id, 'attempts'), key) or ''
end

local function add(f, got, topic, sequence, previous, values, member)
  got.items[#got.items + 1] = { topic, sequence, previous, values.name, values.guid, tonumber(values.at), member,
    tries_of(f, topic .. '|' .. int(sequence)), values.event }
  got.bytes = got.bytes + #values.event
end

-- What is to be tried again and due, each held by this worker from now on.
local function read_open(f, want, got)
  local key = feed_key(f.id, 'open')
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', int(now), 'LIMIT', 0, int(want.open_limit))) do
    if got.bytes >= want.max_bytes then return end
    local topic, sequence, previous = string.match(member, '^([^|]+)|(%d+)|(%d+)|')
    local entry = redis.call('XRANGE', P .. 'log:' .. topic, sequence .. '-0', sequence .. '-0')[1]
    if entry then
      redis.call('ZADD', key, int(NEVER), member)
      add(f, got, topic, tonumber(sequence), tonumber(previous), values_of(entry), member)
    else
      redis.call('ZREM', key, member)
      redis.call('HDEL', feed_key(f.id, 'attempts'), topic .. '|' .. sequence)
      note_missed(f, topic, tonumber(sequence), tonumber(sequence))
    end
  end
end

-- Has retention overtaken the position? Sequences are without holes, but for what a broken-off script has left.
local function check_gap(f, way, entry)
  local first = entry and sequence_of(entry) or way.goal + 1
  if first == way.at + 1 then return end
  local oldest = redis.call('XRANGE', P .. 'log:' .. way.topic, '-', '+', 'COUNT', 1)[1]
  if oldest and sequence_of(oldest) < first then return end
  -- A feed that begins with the oldest there is hasn't missed what was gone before.
  if way.at > 0 or way.previous > 0 then
    note_missed(f, way.topic, way.at + 1, math.min(first - 1, way.goal))
    -- Whatever it was, the receiver can tell that something lies between.
    way.previous = math.min(first - 1, way.goal)
  end
  way.at = math.min(first - 1, way.goal)
  redis.call('HSET', feed_key(f.id, 'cursor'), way.topic, int(way.at))
  if way.previous > 0 then redis.call('HSET', feed_key(f.id, 'previous'), way.topic, int(way.previous)) end
end

local function read_topic(f, want, got, way)
  local taken, looked, chunk = 0, 0, math.min(16, way.share)
  local names = #way.names > 0 and {} or nil
  for _, name in ipairs(way.names) do names[name] = true end
  while way.at < way.goal and taken < way.share and looked < LOOKED and got.bytes < want.max_bytes do
    local entries = redis.call('XRANGE', P .. 'log:' .. way.topic, int(way.at + 1) .. '-0', int(way.goal) .. '-0',
      'COUNT', int(chunk))
    check_gap(f, way, entries[1])
    for _, entry in ipairs(entries) do
      local sequence, values = sequence_of(entry), values_of(entry)
      if not names or names[values.name] then
        if #got.items > 0 and got.bytes + #values.event > want.max_bytes then return end
        local member = ''
        if f.ordered ~= '1' then
          -- Held from now on, in the same step that moves the cursor.
          member = way.topic .. '|' .. int(sequence) .. '|' .. int(way.previous) .. '|'
          redis.call('ZADD', feed_key(f.id, 'open'), int(NEVER), member)
        end
        add(f, got, way.topic, sequence, way.previous, values, member)
        way.previous = sequence
        taken = taken + 1
      end
      way.at = sequence
      looked = looked + 1
    end
    if #entries < chunk then way.at = math.max(way.at, way.goal) end
    -- Events may be a megabyte each: go by what has been seen.
    local size = #got.items > 0 and math.max(1, got.bytes / #got.items) or 4096
    chunk = math.max(1, math.min(LONGEST_CHUNK, way.share - taken, math.floor((want.max_bytes - got.bytes) / size) + 1))
  end
end

-- The topics on which there is something, each with its share of the limit.
local function ways_of(f, want)
  local cursor, previous = pairs_of(feed_key(f.id, 'cursor')), pairs_of(feed_key(f.id, 'previous'))
  local all, busy = {}, {}
  for _, one in ipairs(wanted(f)) do
    local topic = one[1]
    local at = cursor[topic]
    if at then
      local way = { topic = topic, names = one[2], at = at, previous = previous[topic] or 0, goal = target(f, topic) }
      local given = want.position and want.position[topic]
      if given then way.at, way.previous = given[1], given[2] end
      if way.at > way.goal and not f.bound then
        -- The log has begun anew: nothing of it was handled.
        way.at, way.previous = 0, 0
        redis.call('HSET', feed_key(f.id, 'cursor'), topic, '0')
        redis.call('HDEL', feed_key(f.id, 'previous'), topic)
      end
      all[#all + 1] = way
      if way.at < way.goal then busy[#busy + 1] = way end
    end
  end
  for _, way in ipairs(busy) do way.share = math.max(1, math.floor(want.limit / #busy)) end
  return all, busy
end

-- Without `want.position` everything before was handled, and what is passed over counts as handled at once.
local function read(f, want)
  local got = { items = {}, bytes = 0, position = {}, more = 0 }
  if f.ordered ~= '1' then want.limit = math.min(want.limit, MOST_OPEN - redis.call('ZCARD', feed_key(f.id, 'open'))) end
  if (f.failures or 0) >= FAILING then
    want.limit, want.open_limit = math.min(want.limit, 1), math.min(want.open_limit, 1)
  end
  if want.open_limit > 0 then read_open(f, want, got) end
  if want.limit <= 0 then return got end
  local all, busy = ways_of(f, want)
  for _, way in ipairs(busy) do
    local before = #got.items
    local from = way.at
    read_topic(f, want, got, way)
    if way.at < way.goal then got.more = 1 end
    local own = f.ordered ~= '1' or (not want.position and #got.items == before)
    if own and way.at ~= from then
      redis.call('HSET', feed_key(f.id, 'cursor'), way.topic, int(way.at))
      if way.previous > 0 then redis.call('HSET', feed_key(f.id, 'previous'), way.topic, int(way.previous)) end
    end
  end
  for _, way in ipairs(all) do got.position[#got.position + 1] = { way.topic, way.at, way.previous } end
  return got
end

local function take_lease(f)
  redis.call('HSET', feed_key(f.id), 'leaseUntil', int(now + ctl.lease_ms), 'leasedAt', int(now))
  redis.call('ZADD', P .. 'feeds:due', int(now + ctl.lease_ms), f.id)
end
