-- Fill the Failed Requests table with copies of one record that really failed; for measurements only.
--
-- KEYS[1] the tenant's prefix
-- ARGV[1] {first, count, next_try_at, expires_at, fixed: [name, value, …], attempt, digest: {member: digest}}
-- Result  how many were made
local P, c = KEYS[1], cjson.decode(ARGV[1])
local next_try_at, expires_at = string.format('%d', c.next_try_at), string.format('%d', c.expires_at)
local members, digests = {}, {}
for name, digest in pairs(c.digest) do
  members[#members + 1] = name
  digests[#digests + 1] = digest
end
local by_sequence, by_try, by_expiry = {}, {}, {}
for n = c.first, c.first + c.count - 1 do
  local id, media, seq = string.format('%032x', n), string.format('full-%08d', n), string.format('%d', n)
  local path = '/external/contentMedia/live/' .. media
  redis.call('HSET', P .. 'request:' .. id, 'seq', seq, 'lane', media, 'path', path, 'versionPath', path, 'media', media,
    'contentMediaId', media, unpack(c.fixed))
  redis.call('RPUSH', P .. 'request:' .. id .. ':attempts', c.attempt)
  redis.call('ZADD', P .. 'media:' .. media .. ':requests', seq, id)
  redis.call('ZADD', P .. 'lane:avos:' .. media, 0, 'f:' .. string.format('%016d', n) .. ':' .. id)
  local versions = { '#open', '1' }
  for i, name in ipairs(members) do
    versions[#versions + 1] = name
    versions[#versions + 1] = seq .. '|' .. id .. '|' .. digests[i]
  end
  redis.call('HSET', P .. 'fields:avos:' .. path, unpack(versions))
  local at = #by_sequence
  by_sequence[at + 1], by_sequence[at + 2] = seq, id
  by_try[at + 1], by_try[at + 2] = next_try_at, id
  by_expiry[at + 1], by_expiry[at + 2] = expires_at, id
end
redis.call('ZADD', P .. 'requests', unpack(by_sequence))
redis.call('ZADD', P .. 'requests:failed', unpack(by_sequence))
redis.call('ZADD', P .. 'failed:avos', unpack(by_try))
redis.call('ZADD', P .. 'expiry', unpack(by_expiry))
return c.count
