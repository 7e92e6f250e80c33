"""A stand-in of the Live API: static and other jobs, their states over time, both dialects, a journal, and switches.

    python -m deploy.simulators.live --port 8091
    with LiveStandIn() as live: ...            # in a test, on a free port, in a thread of its own

What it serves (a job's id may be that of a redundant group, whose jobs are then switched together)
    GET    /v1/jobs/{job}                              {"job": {"id", "static", "state", "sep_state", …}}
    PUT    /v1/jobs/{job}/activate, /deactivate        {"id"}; 400 where it is so already, or isn't static
    GET    /v2/accounts/{account}/jobs/{job}           the job itself
    PUT    /v2/accounts/{account}/jobs/{job}/start, /stop
v1 wants the key in X-API-KEY (`--auth-header`), v2 as a bearer token; errors are {"statusCode", "message"}, in v2
{error_code, message, status, sub_code}. Of a group, the jobs are switched that aren't so yet. Whatever is asked for is a static job from the first call
on, unless `mustBeKnown` is set.

Looking and switching (on the main port and on the control port)
    GET  /_journal?after=N     every request, in order of arrival (NDJSON; see `LiveEntry`)
    GET  /_state/{job}         a job as it is now
    PUT  /_jobs/{job}          {"static": true, "group": "g1", "encoder": true}, each as it was if left out
    PUT  /_encoder/{job}       {"on": true}: its encoder starts, or stops
    GET, PUT /_control         the switches, as those of the AVOS stand-in; for one job under `jobs`
    POST /_reset               all as at the start

Switches
    latencyMs, faults, down, downForS, seed     as those of the AVOS stand-in, but for the faults `conflict` and `edit`
    readyS          60     seconds from an activation until its entry point is ready; the first fifth it is only pending
    stoppedS        10     seconds from a deactivation until its entry point is waiting again, likewise
    selfStopS       1800   seconds after which an entry point switches itself off if no encoder has started since
    capacity        0      entry points that may be active at once; beyond that 500; 0: any number; of all only
    mustBeKnown     true: 404 for a job that nobody made by /_jobs
"""

from deploy.simulators.live.standin import LiveStandIn

__all__ = ["LiveStandIn"]
