-- Stored hashes that carry a schema number: what isn't there is told from what a newer release has
-- written. The first may be taken out of an index; the second is left alone, as it is and wherever it
-- stands, and holds back nothing of ours.

local MOST_PASSED = 1000 -- of a newer release, looked past in one call: so many cost some milliseconds

-- The fields that aren't empty, those of `numbers` as numbers. Nothing and 'absent' where the first field
-- isn't there (every such hash has it), nothing and 'newer' where its schema is above `schema`.
local function load_hash(key, fields, numbers, schema)
  local values = redis.call('HMGET', key, 'schema', unpack(fields))
  if (tonumber(values[1]) or 1) > schema then return nil, 'newer' end
  if not values[2] then return nil, 'absent' end
  local found = {}
  for i, name in ipairs(fields) do
    local value = values[i + 1]
    if value and value ~= '' then found[name] = numbers[name] and tonumber(value) or value end
  end
  return found
end

-- Up to `limit` members of a sorted set by score, each as {member, what `look` loads of it (nothing: it
-- is absent)}.
local function entries(key, from, till, limit, look)
  local found, at = {}, 0
  while #found < limit and at - #found < MOST_PASSED do
    local members = redis.call('ZRANGEBYSCORE', key, from, till, 'LIMIT', at, limit - #found)
    if #members == 0 then break end
    at = at + #members
    for _, member in ipairs(members) do
      local loaded, why = look(member)
      if why ~= 'newer' then found[#found + 1] = { member, loaded } end
    end
  end
  return found
end

-- What an operator asks of something newer is refused.
local function refuse_newer() return redis.error_reply('NEWER It was written by a newer release.') end
