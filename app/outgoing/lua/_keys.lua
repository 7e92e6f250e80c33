-- Names of this package's keys.
-- include: _base.lua

local function request_key(id) return P .. 'request:' .. id end
local function attempts_key(id) return P .. 'request:' .. id .. ':attempts' end
local function lane_key(r) return P .. 'lane:' .. r.destination .. ':' .. quoted(r.lane) end
local function fields_key(r) return P .. 'fields:' .. r.destination .. ':' .. r.versionPath end
local function media_key(media, what) return P .. 'media:' .. quoted(media) .. ':' .. what end
local function destination_key(name) return P .. 'destination:' .. name end
