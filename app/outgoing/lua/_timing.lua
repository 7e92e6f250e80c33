-- How long deliveries took: `timing:{what}`, upper bounds in ms (`inf` above all) → how many, and `sum`.
-- include: _staleness.lua

local BOUNDS = { 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 1800000 } -- as app/outgoing/timings.py has them
local function count_time(what, ms)
  local bound = 'inf'
  for _, b in ipairs(BOUNDS) do
    if ms <= b then
      bound = int(b)
      break
    end
  end
  local key = P .. 'timing:' .. what
  redis.call('HINCRBY', key, bound, 1)
  redis.call('HINCRBY', key, 'sum', int(ms))
end

-- From acceptance to delivery; how long AVOS hadn't shown what it shows now; and, for what was accepted
-- before its kick-off, how late it came after it (0: in time).
local function note_timing(r)
  count_time('delivery', math.max(0, now - r.createdAt))
  if has_staleness(r) then count_time('staleness', math.max(0, now - stale_from(r))) end
  if r.urgentAt and r.createdAt < r.urgentAt then count_time('lateness', math.max(0, now - r.urgentAt)) end
end
