-- Numbers that an open breaker and its probes share.
local OWN = 100000000000000 -- added to the time of a fault that may be the lane's own
local FIRST_PROBE_MS = 1000
