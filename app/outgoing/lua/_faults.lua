-- Lanes that met a fault of their destination. `faults:{name}`: since the last good answer → when, with OWN added where it may
-- be the lane's own fault, with 2 OWN where it was refused. `excused:{name}`: those whose fault was their own, as a good answer
-- of another lane has shown → when they met it last.
-- include: _base.lua

local OWN = 100000000000000
local MOST_LANES = 1000 -- of each; one that falls out is only asked once more

local function faults_key(destination) return P .. 'faults:' .. destination end
local function excused_key(destination) return P .. 'excused:' .. destination end

local function note_lane(key, lane, score)
  redis.call('ZADD', key, int(score), lane)
  redis.call('ZREMRANGEBYRANK', key, 0, -MOST_LANES - 1)
  redis.call('PEXPIRE', key, 3600000)
end

-- When a lane met its last fault; 0 where nothing is known against it.
local function last_fault(destination, lane)
  local fault = tonumber(redis.call('ZSCORE', faults_key(destination), lane) or 0)
  return math.max(fault % OWN, tonumber(redis.call('ZSCORE', excused_key(destination), lane) or 0))
end
