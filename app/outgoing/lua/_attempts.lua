-- The history of a record's attempts.
-- include: _keys.lua

-- Keep the first 5 and the last 20.
local function add_attempt(r, attempt)
  local key = attempts_key(r.id)
  if redis.call('RPUSH', key, attempt) > 25 then
    redis.call('LSET', key, 5, '#')
    redis.call('LREM', key, 1, '#')
  end
end
