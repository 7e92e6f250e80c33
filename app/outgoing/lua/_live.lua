-- The message that a promotion of a request pushes: the same bytes each time, so that it can be looked
-- for in its queue.
-- include: _keys.lua
-- include: _messages.lua

local LIVE_QUEUE = P .. 'live'

-- What it is about, in a line for people, the most telling first: JSON text without its quotes.
local function line(r)
  local title = redis.call('HGET', request_key(r.id), 'title')
  local about = r.contentMediaId or string.match(r.path, '^[^?]*'):sub(1, 200):gsub('[\128-\255]', '?')
  local text = title and { r.kind, ' of ', title, ' (', r.method, ' ', about, ')' } or { r.kind, ' of ', about, ' (', r.method, ')' }
  return cjson.encode(table.concat(text)):sub(2, -2)
end

-- `n`: which promotion of the request it is, counted from 1.
local function live_message(r, n)
  local id = r.id .. '-' .. int(n)
  return message(r.barrier and 'send' or 'patch', id, r.id, line(r))
end
