#!lua flags=allow-oom
-- Figures kept: who looks at all consumers (one caller, once in a while), and what the last look has found.
-- With allow-oom, since monitoring is asked above all when memory has ended.
--
-- ARGV[1] {every_ms, kept_ms}, ARGV[2] what was found (JSON), '' to ask
-- Result  {1: it is the caller's turn, what was found last or ''}
-- include: _base.lua

local key = P .. 'feeds:figures'
if ARGV[2] ~= '' then
  redis.call('SET', key, ARGV[2], 'PX', int(ctl.kept_ms))
  return { 0, ARGV[2] }
end
local turn = redis.call('SET', key .. ':turn', '1', 'NX', 'PX', int(ctl.every_ms))
return { turn and 1 or 0, redis.call('GET', key) or '' }
