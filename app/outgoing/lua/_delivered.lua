-- The values that were delivered last: `d:` in `fields:`.
-- include: _keys.lua
-- include: _versions.lua

-- An attempt has begun to send and ends without a word of success. What AVOS has of these members now is
-- unknown, so that nothing found there can be called somebody else's edit.
local function forget_delivered(r)
  if r.barrier or not r.sendingAt or not r.sentMembers then return end
  chunked('HDEL', fields_key(r), prefixed('d:', cjson.decode(r.sentMembers)))
end
