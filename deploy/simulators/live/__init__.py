"""A stand-in of the Live API: static and other jobs, their states over time, both dialects, a journal, and switches.

    python -m deploy.simulators.live --port 8091
    with LiveStandIn() as live: ...            # in a test, on a free port, in a thread of its own

What it serves (a job's id may be that of a redundant group, whose jobs are then switched together)
    GET    /v1/jobs/{job}                              {"job": {"id", "static", "state", "sep_state", …}}
    PUT    /v1/jobs/{job}/activate, /deactivate        {"id"}; 400 where it is so already, or isn't static
    GET    /v2/accounts/{account}/jobs/{job}           the job itself
    PUT    /v2/accounts/{account}/jobs/{job}/start, /stop
v1 wants the key in X-API-KEY, v2 as a bearer token; errors are {"message", …}, in v2 {error_code, message, status,
sub_code}. Whatever is asked for is a static job from the first call on, unless `mustBeKnown` is set.

Looking and switching (on the main port and on the control port)
    GET  /_journal?after=N     every request, in order of arrival (NDJSON)
    GET  /_state/{job}         a job as it is now
    PUT  /_job/{job}           {"static": true, "group": "g1", "encoder": true}; `encoder`: it is being fed
    GET, PUT /_control         the switches, as those of the AVOS stand-in; for one job under `jobs`
    POST /_reset               all as at the start

Switches
    latencyMs, faults, down, downForS, seed     as those of the AVOS stand-in
    readyS          60     seconds from an activation until its entry point is ready
    selfStopS       1800   seconds after which an entry point that no encoder feeds switches itself off
    capacity        0      entry points that may be active at once; 0: any number; of all only
    mustBeKnown     true: 404 for a job that nobody made by /_job
"""

from deploy.simulators.live.standin import LiveStandIn

__all__ = ["LiveStandIn"]
