-- What a worker gets of the log, bounded in events, bytes and entries looked at.
-- include: _base.lua
-- include: _consumer.lua
-- include: _entries.lua
-- include: _happenings.lua
-- include: _listening.lua
-- include: _open.lua

local LOOKED = 1000 -- entries looked at in one call, where most are of other names
local LONGEST_CHUNK = 128
local MOST_READ = 500 -- events in one call, which takes the server 3 to 4 ms, on a busy machine more
local FAILING = 5 -- failures in a row: one event finds out whether it is over

-- The tries of an event so far, `n|first failed at`, or nothing.
local function tries_of(f, topic, sequence)
  if f.tried == nil then f.tried = redis.call('EXISTS', consumer_key(f.id, 'attempts')) == 1 end
  return f.tried and redis.call('HGET', consumer_key(f.id, 'attempts'), topic .. '|' .. int(sequence)) or ''
end

local function add(f, got, topic, sequence, previous, member, event, name, guid, at)
  local tries = tries_of(f, topic, sequence)
  got.items[#got.items + 1] = { topic, sequence, previous, name, guid, at, member, tries, event }
  got.bytes = got.bytes + #event
end

-- Note that a worker has these events.
local function note_held(f, members)
  for i = 1, #members, 500 do
    local pairs_ = {}
    for n = i, math.min(i + 499, #members) do
      pairs_[#pairs_ + 1] = int(HELD)
      pairs_[#pairs_ + 1] = members[n]
    end
    redis.call('ZADD', consumer_key(f.id, 'open'), unpack(pairs_))
  end
end

-- Events that are due to be tried again; this worker has them from now on. Half of the bytes are left to
-- new events.
local function read_open(f, want, got)
  if want.open_limit <= 0 or (f.retryFrom or 0) > now then return end
  local key = consumer_key(f.id, 'open')
  local due = redis.call('ZRANGEBYSCORE', key, '-inf', int(now), 'LIMIT', 0, int(want.open_limit))
  for _, member in ipairs(due) do
    if got.bytes * 2 >= want.max_bytes then return end
    local topic, sequence, previous = string.match(member, '^([^|]+)|(%d+)|(%d+)|')
    local entry = redis.call('XRANGE', P .. 'log:' .. topic, sequence .. '-0', sequence .. '-0')[1]
    if entry then
      redis.call('ZADD', key, int(HELD), member)
      add(f, got, topic, tonumber(sequence), tonumber(previous), member, values_of(entry))
    else
      redis.call('ZREM', key, member)
      redis.call('HDEL', consumer_key(f.id, 'attempts'), topic .. '|' .. sequence)
      note_missed(f, topic, tonumber(sequence), tonumber(sequence))
    end
  end
end

-- Has retention overtaken the position? Sequences have no holes, except where a script broke off.
local function check_gap(f, way, entry)
  local first = entry and sequence_of(entry) or way.goal + 1
  if first == way.at + 1 then return end
  if before_oldest(way.topic) < first - 1 then return end
  local last = math.min(first - 1, way.goal)
  -- While it listens to the topic (and was woken through another, or by the audit) it wants nothing of what
  -- is gone, except events that it is still to be woken for.
  local handled = not f.replaying and listens_to(f, way.topic, way.names) or way.at
  way.at = math.min(math.max(way.at, handled), last)
  if way.at == last then return end
  note_missed(f, way.topic, way.at + 1, last)
  -- The receiver can tell from `previous` that something lies between.
  way.at, way.previous = last, last
  redis.call('HSET', consumer_key(f.id, 'cursor'), way.topic, int(last))
  redis.call('HSET', consumer_key(f.id, 'previous'), way.topic, int(last))
end

local function read_topic(f, want, got, way)
  local taken, looked, chunk, held = 0, 0, math.min(16, way.share), {}
  local names = #way.names > 0 and {} or nil
  for _, name in ipairs(way.names) do names[name] = true end
  while way.at < way.goal and taken < way.share and looked < LOOKED and got.bytes < want.max_bytes do
    local from, to = int(way.at + 1) .. '-0', int(way.goal) .. '-0'
    local entries = redis.call('XRANGE', P .. 'log:' .. way.topic, from, to, 'COUNT', int(chunk))
    check_gap(f, way, entries[1])
    for _, entry in ipairs(entries) do
      local sequence, event, name, guid, at = sequence_of(entry), values_of(entry)
      if not names or names[name] then
        if got.fresh > 0 and got.bytes + #event > want.max_bytes then return held end
        local member = ''
        if f.ordered ~= '1' then
          member = way.topic .. '|' .. int(sequence) .. '|' .. int(way.previous) .. '|'
          held[#held + 1] = member
        end
        add(f, got, way.topic, sequence, way.previous, member, event, name, guid, at)
        way.previous = sequence
        taken, got.fresh = taken + 1, got.fresh + 1
      end
      way.at = sequence
      looked = looked + 1
    end
    if #entries < chunk then way.at = math.max(way.at, way.goal) end
    -- Events may be a megabyte each: go by what has been seen.
    local size = #got.items > 0 and math.max(1, got.bytes / #got.items) or 4096
    local room = math.floor((want.max_bytes - got.bytes) / size) + 1
    chunk = math.max(1, math.min(LONGEST_CHUNK, way.share - taken, room))
  end
  return held
end

-- The topics on which there is something, each with its share of the limit.
local function ways_of(f, want)
  local cursor, previous = pairs_of(consumer_key(f.id, 'cursor')), pairs_of(consumer_key(f.id, 'previous'))
  local all, busy = {}, {}
  for _, one in ipairs(wanted(f)) do
    local topic = one[1]
    local at = cursor[topic]
    if at then
      local way = { topic = topic, names = one[2], at = at, previous = previous[topic] or 0 }
      way.goal = target(f, topic)
      local given = want.position and want.position[topic]
      -- What the filter let by meanwhile may have moved the cursor beyond what was read.
      if given then way.at, way.previous = math.max(given[1], at), given[2] end
      if way.at > way.goal and not f.bound then
        -- The log has begun anew: nothing of it was handled.
        way.at, way.previous = before_oldest(topic), 0
        redis.call('HSET', consumer_key(f.id, 'cursor'), topic, int(way.at))
        redis.call('HDEL', consumer_key(f.id, 'previous'), topic)
      end
      all[#all + 1] = way
      if way.at < way.goal then busy[#busy + 1] = way end
    end
  end
  for _, way in ipairs(busy) do way.share = math.max(1, math.floor(want.limit / #busy)) end
  return all, busy
end

-- New events. Without `want.position` everything before was handled, and what the filter lets by counts as
-- handled at once.
local function read_new(f, want, got)
  if want.limit <= 0 then return end
  want.max_bytes = got.bytes + math.max(want.max_bytes - got.bytes, want.max_bytes / 2)
  local all, busy = ways_of(f, want)
  for _, way in ipairs(busy) do
    local before = #got.items
    local from = way.at
    note_held(f, read_topic(f, want, got, way)) -- in the same step that moves the cursor
    if way.at < way.goal then got.more = 1 end
    local own = f.ordered ~= '1' or (not want.position and #got.items == before)
    if own and way.at ~= from then
      redis.call('HSET', consumer_key(f.id, 'cursor'), way.topic, int(way.at))
      if way.previous > 0 then
        redis.call('HSET', consumer_key(f.id, 'previous'), way.topic, int(way.previous))
      end
    end
  end
  for _, way in ipairs(all) do got.position[#got.position + 1] = { way.topic, way.at, way.previous } end
end

local function read(f, want)
  local got = { items = {}, bytes = 0, fresh = 0, position = {}, more = 0 }
  local failures, unordered = f.failures or 0, f.ordered ~= '1'
  want.limit, want.open_limit = math.min(want.limit, MOST_READ), math.min(want.open_limit, MOST_READ)
  if failures >= FAILING then
    want.limit, want.open_limit = math.min(want.limit, 1), math.min(want.open_limit, 1)
  elseif failures > 0 and unordered then
    want.limit = math.min(want.limit, f.slots or 1) -- no more than can be tried
  end
  if failures > 0 and unordered then
    local crowded = redis.call('ZCARD', consumer_key(f.id, 'open')) >= MOST_OPEN
    if crowded then want.limit = math.min(want.limit, is_full(f) and 0 or 1) end
  end
  read_open(f, want, got)
  read_new(f, want, got)
  return got
end
