-- Fill the Failed Requests table with copies of one record that really failed; for measurements only.
--
-- KEYS[1] the tenant's prefix
-- ARGV[1] {first, count, next_try_at, expires_at, fixed: [name, value, …], attempt, digest: {member: digest}}
-- Result  how many were made
local P, c = KEYS[1], cjson.decode(ARGV[1])
for n = c.first, c.first + c.count - 1 do
  local id, media = string.format('%032x', n), string.format('full-%08d', n)
  local seq, path = string.format('%d', n), '/external/contentMedia/live/' .. media
  redis.call('HSET', P .. 'request:' .. id, 'seq', seq, 'lane', media, 'path', path, 'versionPath', path, 'media', media,
    'contentMediaId', media, unpack(c.fixed))
  redis.call('RPUSH', P .. 'request:' .. id .. ':attempts', c.attempt)
  redis.call('ZADD', P .. 'requests', seq, id)
  redis.call('ZADD', P .. 'requests:failed', seq, id)
  redis.call('ZADD', P .. 'media:' .. media .. ':requests', seq, id)
  redis.call('ZADD', P .. 'lane:avos:' .. media, 0, 'f:' .. string.format('%016d', n) .. ':' .. id)
  local versions = { '#open', '1' }
  for name, digest in pairs(c.digest) do
    versions[#versions + 1] = name
    versions[#versions + 1] = seq .. '|' .. id .. '|' .. digest
  end
  redis.call('HSET', P .. 'fields:avos:' .. path, unpack(versions))
  redis.call('ZADD', P .. 'failed:avos', string.format('%d', c.next_try_at), id)
  redis.call('ZADD', P .. 'expiry', string.format('%d', c.expires_at), id)
end
return c.count
