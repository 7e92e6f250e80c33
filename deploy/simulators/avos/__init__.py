"""A stand-in of AVOS: the calls that the domain page promises, a journal, and switches for every way to fail.

    python -m deploy.simulators.avos --port 8090
    with AvosStandIn() as avos: ...            # in a test, on a free port, in a thread of its own

What it serves
    GET    /external/contentMedia/live/{id}                              the record, with lastModified
    PATCH  /external/contentMedia/live/{id}                              lastModified enforced:
    PATCH  /external/contentMedia/live/{id}/technicalMedia/sourceMedia/    400 without, 409 or 412 on a mismatch
    GET, PUT, POST, PATCH, DELETE of anything else under /external/      kept by its path, PATCH likewise
Whatever is asked for exists from the first call on, unless `mustBeKnown` is set; what was deleted is 404.

Looking and switching (on the main port and, for when that refuses connections, on the control port)
    GET  /_journal?after=N     every request, in order of arrival (NDJSON; see `journal.py`)
    GET  /_state/{id}          one content media as it really is, whatever GET shows
    POST /_edit/{id}           somebody else's edit: {"fields": {…}, "source": {…}}
    GET  /_control             the switches
    PUT  /_control             sets the switches named in it, e.g.
        {"global": {"latencyMs": {"get": 20, "patch": 100}, "shows": "zoneless"},
         "contentMedia": {"C1": {"faults": [{"kind": "reset", "when": "after", "on": "patch", "next": 1}]}}}
    POST /_reset               all switches, records and the journal as at the start

Switches, for all (`global`) or for one content media, whose own switches then count
    latencyMs       a number, or {"get": …, "patch": …, "other": …}
    lastModified    normal | missing | otherCase | empty | number | huge
    coarse          true: lastModified has whole seconds, so two writes in one second share it
    conflictStatus  409 | 412
    shows           all | some | none | otherCase | zoneless: our fields in a GET's answer
    mustBeKnown     true: 404 for a content media that nobody created by /_edit
    faults          a list, the first that strikes counts:
        kind        status (with `status`, `retryAfter`?) | conflict | reset | hang | drip | malformed | edit | late
        on          get | patch | post | put | delete | any        path   only paths that hold this text
        when        before | after the write is applied (status, reset, hang)
        next        only the next n requests           probability   by the seeded generator
        intervalMs  between the bytes of a drip; until a `late` write is carried out     headers       true: drip from the status line on
    `edit` is a foreign edit at the moment when the request is handled; the request then goes on.
    `late`: the connection is reset at once, and the request carried out a while later, under its condition as it is then.
For all only:
    down            no | refuse (connections are refused) | reset (requests are reset unread)
    downForS        how long; without it until switched back (refuse: through the control port)
    seed            of the generator
"""

from deploy.simulators.avos.standin import AvosStandIn

__all__ = ["AvosStandIn"]
