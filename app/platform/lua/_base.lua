-- The ground of all scripts: the call's control object, the clock, unique ids, numbers and times as text.
--
-- Calling convention: KEYS[1] is the tenant's prefix; every key is built from it (one tenant lives on
-- one server, so keys need not be declared one by one). ARGV[1] is a JSON object with only ids, names
-- and numbers: payloads of users travel as further arguments and are stored byte for byte, because
-- cjson would turn [] into {} and round large integers.
-- `now` (ms) in ARGV[1] stands in for the server's clock in tests only.
local P = KEYS[1]
local ctl = cjson.decode(ARGV[1])

local function int(n) return string.format('%d', n) end
local function pad(n) return string.format('%016d', n) end

local now
if ctl.now then
  now = ctl.now
else
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- Commands with many words, some hundreds at a time (an even number, so that pairs stay together): Lua
-- unpacks a few thousand at most, and a script that breaks off doesn't take back what it has written.
local MOST_WORDS = 1000
local function chunked(command, key, words)
  for i = 1, #words, MOST_WORDS do redis.call(command, key, unpack(words, i, math.min(i + MOST_WORDS - 1, #words))) end
end

local function many(key, fields)
  if #fields <= MOST_WORDS then return redis.call('HMGET', key, unpack(fields)) end
  local found = {}
  for i = 1, #fields, MOST_WORDS do
    local some = redis.call('HMGET', key, unpack(fields, i, math.min(i + MOST_WORDS - 1, #fields)))
    for n = 1, #some do found[i + n - 1] = some[n] end
  end
  return found
end

local function quoted(s)
  return (string.gsub(s, '[^%w%-%._~]', function(c) return string.format('%%%02X', string.byte(c)) end))
end

-- Unique ids from the caller's random seed (32 hex digits): a seed serves one call.
local made = 0
local function uuid()
  made = made + 1
  local s = ctl.seed
  return s:sub(1, 8) .. '-' .. s:sub(9, 12) .. '-' .. s:sub(13, 16) .. '-' .. s:sub(17, 20) .. '-'
    .. string.format('%012x', tonumber(s:sub(21, 30), 16) + made)
end

-- RFC 3339 with milliseconds, from ms since 1970 (days to civil date after Howard Hinnant).
local function iso(ms)
  local f = math.floor
  local s = f(ms / 1000)
  local days = f(s / 86400)
  local rest = s - days * 86400
  local z = days + 719468
  local era = f(z / 146097)
  local doe = z - era * 146097
  local yoe = f((doe - f(doe / 1460) + f(doe / 36524) - f(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + f(yoe / 4) - f(yoe / 100))
  local mp = f((5 * doy + 2) / 153)
  local m = mp < 10 and mp + 3 or mp - 9
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', yoe + era * 400 + (m <= 2 and 1 or 0), m,
    doy - f((153 * mp + 2) / 5) + 1, f(rest / 3600), f(rest % 3600 / 60), rest % 60, ms % 1000)
end
