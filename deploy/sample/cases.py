"""The awkward cases of the sample plan, one function each group; README.md of this folder lists them."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from deploy.sample.catalogue import DMHE_NO, HEAD_ENDS

if TYPE_CHECKING:
    from deploy.sample.generate import Plan

Message = dict[str, Any]


class Case:
    """One event with its livestreams and job, plain until a case bends it."""

    def __init__(self, plan: Plan, key: str, start: datetime, feeds: int = 1) -> None:
        self.plan, self.key = plan, key
        self.event_id = f"case-{key}"
        self.job_id = f"job-case-{key}"
        self.livestreams = [
            {
                "livestreamId": f"ls-{key}-{feed}",
                "preKoUtc": _z(start - timedelta(minutes=30 - 5 * feed)),
                "txEventType": ("Live", "Update", "Delayed")[feed],
            }
            for feed in range(feeds)
        ]
        self.event = plan.event(
            self.event_id,
            f"Case: {key.replace('-', ' ')}",
            self.livestreams,
            eventStart=_z(start),
            eventEnd=_z(start + timedelta(hours=2)),
        )
        info = {
            "jobName": f"Job {key}",
            "jobStart": _z(start - timedelta(hours=2)),
            "jobEnd": _z(start + timedelta(hours=3)),
        }
        nodes = [self.dmhe(1, HEAD_ENDS[0]), self.dmhe(2, HEAD_ENDS[1]), self.dmhe(3, HEAD_ENDS[0])]
        self.job = plan.job(self.job_id, self.event_id, "confirmed", info, nodes)

    def dmhe(self, order: int, head_end: str, flag: Any = "true", **more: Any) -> dict[str, Any]:
        resource = self.plan.resource(f"HE-{self.key.upper()}", head_end, flag)
        return self.plan.node(order, "Resource", resource, **more)

    def send(self, *messages: Message) -> None:
        """Into the plan: the given messages, else the event and then its job."""
        self.plan.messages += copy.deepcopy(list(messages) or [self.event, self.job])

    def change(self, *messages: Message) -> None:
        """Into what planning says later."""
        self.plan.changes += copy.deepcopy(list(messages))

    def register(self, feed: int = 0, content_media_id: str | None = None) -> None:
        self.plan.register(
            self.livestreams[feed]["livestreamId"], content_media_id or f"CM-{self.key}-{feed}"
        )

    def another_job(self, suffix: str, **members: Any) -> Message:
        """A copy of the job under another id, with a start of its own."""
        job = copy.deepcopy(self.job)
        job["id"] = f"{self.job_id}-{suffix}"
        job["body"] |= members
        job["body"]["jobInfo"]["jobStart"] = job["body"]["jobInfo"]["jobStart"].replace(":00Z", ":01Z")
        job["body"]["nodes"] = [self.dmhe(1, HEAD_ENDS[2])]
        return job


def _z(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def add(plan: Plan, saturday: datetime) -> None:
    """All of them, through Saturday afternoon and evening."""
    for at, group in enumerate(
        (_jobs, _resources, _missing_values, _livestreams, _ids, _versions, _refused, _changes)
    ):
        group(plan, saturday + timedelta(hours=12 + at))


def _jobs(plan: Plan, start: datetime) -> None:
    case = Case(plan, "canceled-beside-newer", start)
    old = case.another_job("old", status="canceled")
    case.send(case.event, old, case.job)
    case.register()

    case = Case(plan, "canceled-newer", start)
    case.send(case.event, case.job, case.another_job("late", status="canceled"))
    case.register()

    case = Case(plan, "older-job-updated-last", start)
    again = copy.deepcopy(case.job)
    again["body"]["status"] = "running"
    case.send(case.event, case.job, case.another_job("b"), again)
    case.register()

    case = Case(plan, "job-first", start)
    case.send(case.job, case.event)
    case.register()

    for status in ("draft", "tentative", "running", "completed", "ready_for_invoice", "invoiced"):
        case = Case(plan, f"status-{status.replace('_', '-')}", start)
        case.job["body"]["status"] = status
        case.send()
        case.register()


def _resources(plan: Plan, start: datetime) -> None:
    case = Case(plan, "no-dmhe-resource", start)
    case.job["body"]["nodes"] = [case.dmhe(1, HEAD_ENDS[0], "absent"), plan.node(2, "Source")]
    case.send()
    case.register()

    case = Case(plan, "dmhe-off-in-every-spelling", start)
    case.job["body"]["nodes"] = [
        case.dmhe(order, HEAD_ENDS[0], flag) for order, flag in enumerate(DMHE_NO, 1)
    ]
    case.send()
    case.register()

    case = Case(plan, "no-nodes", start)
    case.job["body"]["nodes"] = []
    case.send()
    case.register()

    case = Case(plan, "only-hidden", start)
    case.job["body"]["nodes"] = [case.dmhe(1, HEAD_ENDS[0], hidden=True)]
    case.send()
    case.register()

    case = Case(plan, "hidden-first", start)
    case.job["body"]["nodes"] = [
        case.dmhe(1, HEAD_ENDS[1], hidden=True),
        case.dmhe(2, HEAD_ENDS[0], hidden=False),
        case.dmhe(3, HEAD_ENDS[1]),
    ]
    case.send()
    case.register()

    case = Case(plan, "configured-order", start)
    orders = ((30, 1), (4, 0), (100, 0), (7, 2), (-1, 1), (9, 0), (10, 2))
    case.job["body"]["nodes"] = [case.dmhe(order, HEAD_ENDS[head_end]) for order, head_end in orders]
    case.send()
    case.register()

    case = Case(plan, "no-order-given", start)
    for node in case.job["body"]["nodes"]:
        del node["order"]
    case.send()
    case.register()

    case = Case(plan, "not-a-resource-node", start)
    pool = plan.resource("HE-POOL", HEAD_ENDS[3], "true")
    case.job["body"]["nodes"] += [plan.node(0, "ResourcePool", pool), plan.node(-5, "SourceInstance", pool)]
    case.send()
    case.register()

    case = Case(plan, "channel-only-on-second", start)
    first = case.job["body"]["nodes"][0]["resource"]
    first["properties"] = [one for one in first["properties"] if one["name"] != "SourceChannelId"]
    case.send()
    case.register()

    case = Case(plan, "names-with-quotes", start)
    case.job["body"]["nodes"][0]["resource"]["name"] = 'Enc "A" \\ 東京 🎥 <b>'
    case.send()
    case.register()


def _missing_values(plan: Plan, start: datetime) -> None:
    case = Case(plan, "no-event-end", start)
    del case.event["body"]["eventEnd"]
    case.send()
    case.register()

    case = Case(plan, "no-job-start", start)
    del case.job["body"]["jobInfo"]["jobStart"]
    case.send()
    case.register()

    case = Case(plan, "first-without-pre-ko", start, feeds=2)
    del case.livestreams[0]["preKoUtc"]
    case.send()
    case.register(1)

    case = Case(plan, "no-times-at-all", start)
    case.livestreams[0].pop("preKoUtc")
    del case.event["body"]["eventEnd"], case.event["body"]["eventStart"]
    case.job["body"]["jobInfo"] = {"jobName": "To be announced"}
    case.send()
    case.register()

    case = Case(plan, "times-without-zone", start)  # read as UTC
    case.event["body"]["eventEnd"] = case.event["body"]["eventEnd"].rstrip("Z")
    case.livestreams[0]["preKoUtc"] = case.livestreams[0]["preKoUtc"].rstrip("Z")
    case.send()
    case.register()

    case = Case(plan, "no-tx-event-type", start)
    del case.livestreams[0]["txEventType"]
    case.send()
    case.register()


def _livestreams(plan: Plan, start: datetime) -> None:
    case = Case(plan, "third-of-three-registered", start, feeds=3)
    case.send()
    case.register(2)

    case = Case(plan, "all-three-registered", start, feeds=3)
    case.send()
    for feed in range(3):
        case.register(feed)

    case = Case(plan, "livestream-of-the-earlier-event", start)
    newer = Case(plan, "livestream-of-the-later-event", start + timedelta(hours=1))
    newer.event["body"]["livestreams"] = case.livestreams
    case.send()
    newer.send()
    case.register()  # the event that took the livestream last owns it


def _ids(plan: Plan, start: datetime) -> None:
    case = Case(plan, "odd-ids", start)
    case.event["id"] = case.job["body"]["eventId"] = "case/odd ids & ümläut:100%2F?#1"
    case.job["id"] = "job {odd}/../\\x"
    case.livestreams[0]["livestreamId"] = "Live Stream+ü/1&x=2"
    case.send()
    case.register(content_media_id="CM odd/Ünï & 100%:#?1")

    for spelled in ("MiXeD-id", "mixed-ID"):  # only content media are the same in another case
        case = Case(plan, spelled, start)
        case.send()
        case.register(content_media_id=f"CM-{len(plan.registrations)}-{spelled}")


def _versions(plan: Plan, start: datetime) -> None:
    case = Case(plan, "sent-twice", start)
    later = copy.deepcopy(case.event)
    later["body"]["sourceVersion"] = 9007199254740993  # above 2^53: not every JSON reader keeps it
    later["body"]["eventEnd"] = _z(start + timedelta(hours=3))
    case.send(case.event, case.job, later)
    case.register()

    case = Case(plan, "version-is-a-time", start)
    case.job["body"]["sourceVersion"] = "2026-11-20T08:00:00Z"
    case.send()
    case.register()


def _refused(plan: Plan, start: datetime) -> None:
    """Registrations that the API must refuse, after all others are made."""
    no_job = Case(plan, "no-job", start)
    no_job.send(no_job.event)
    canceled = Case(plan, "canceled-only", start)
    canceled.job["body"]["status"] = "canceled"
    canceled.send()
    bare = Case(plan, "no-livestream", start, feeds=0)
    bare.send()
    free = Case(plan, "never-registered", start)
    free.send()
    taken = plan.registrations[0]
    pairs = [
        (no_job.livestreams[0]["livestreamId"], "CM-refused-1"),
        (canceled.livestreams[0]["livestreamId"], "CM-refused-2"),
        ("ls-nobody-knows", "CM-refused-3"),
        (taken["livestreamId"], "CM-refused-4"),
        (free.livestreams[0]["livestreamId"], taken["contentMediaId"]),
        (free.livestreams[0]["livestreamId"], taken["contentMediaId"].swapcase()),
        ("ls-nobody-knows", taken["contentMediaId"]),  # the livestream is looked up first
        (no_job.livestreams[0]["livestreamId"], taken["contentMediaId"]),  # then the job
        (free.livestreams[0]["livestreamId"], ".."),
        (free.livestreams[0]["livestreamId"], ""),
    ]
    plan.refused += [{"livestreamId": one, "contentMediaId": other} for one, other in pairs]


def _changes(plan: Plan, start: datetime) -> None:
    """Cases whose second half stands in changes.ndjson, to be sent after the registrations."""
    case = _registered(plan, "change-kick-off-thrice", start)
    for moved in (15, 45, 30):
        case.livestreams[0]["preKoUtc"] = _z(start + timedelta(minutes=moved))
        case.change(case.event)

    case = _registered(plan, "change-job-canceled", start)
    case.change(case.job | {"body": case.job["body"] | {"status": "canceled"}})

    case = _registered(plan, "change-livestream-dropped", start, feeds=2, feed=1)
    case.change(case.event | {"body": case.event["body"] | {"livestreams": case.livestreams[:1]}})

    case = _registered(plan, "change-first-livestream-dropped", start, feeds=2, feed=1)
    case.change(case.event | {"body": case.event["body"] | {"livestreams": case.livestreams[1:]}})

    case = _registered(plan, "change-event-end-dropped", start)
    del case.event["body"]["eventEnd"]
    case.change(case.event)

    case = _registered(plan, "change-dmhe-off", start)
    case.job["body"]["nodes"] = [case.dmhe(1, HEAD_ENDS[0], "false")]
    case.change(case.job)

    case = _registered(plan, "change-newer-job", start)
    newer = case.another_job("newer")
    case.change(newer)

    case = _registered(plan, "change-newer-job-canceled", start)
    newer = case.another_job("newer")
    case.change(newer, newer | {"body": newer["body"] | {"status": "canceled"}})

    case = Case(plan, "change-stale", start)
    case.event["body"]["sourceVersion"] = 20
    case.send()
    case.register()
    case.event["body"] |= {"sourceVersion": 19, "eventEnd": _z(start + timedelta(hours=5))}
    case.change(case.event)  # older than what is stored: 409, nothing changes

    case = _registered(plan, "change-repeated", start)
    case.change(case.event, case.job)

    case = _registered(plan, "change-only-the-name", start)
    case.event["body"]["name"] = "Case: another name, which AVOS doesn't see"
    case.change(case.event)


def _registered(plan: Plan, key: str, start: datetime, feeds: int = 1, feed: int = 0) -> Case:
    case = Case(plan, key, start, feeds)
    case.send()
    case.register(feed)
    return case
