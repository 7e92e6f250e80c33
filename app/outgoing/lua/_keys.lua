-- Names of this package's keys, and the numbers that stand for "never" and "ended".
-- include: _base.lua
local NEVER = 9000000000000000 -- as a score: not before somebody changes it
local ENDED = 100000000000000 -- added to the urgency of what belongs to an ended event

local function request_key(id) return P .. 'request:' .. id end
local function attempts_key(id) return P .. 'request:' .. id .. ':attempts' end
local function lane_key(r) return P .. 'lane:' .. r.destination .. ':' .. quoted(r.lane) end
local function fields_key(r) return P .. 'fields:' .. r.destination .. ':' .. r.versionPath end
local function media_key(media, what) return P .. 'media:' .. quoted(media) .. ':' .. what end
