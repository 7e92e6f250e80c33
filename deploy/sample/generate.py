"""Writes the sample plan: a match weekend over many sports and time zones, and the awkward cases.

    python -m deploy.sample.generate [--seed N] [--out FOLDER]

Deterministic: the same seed writes the same bytes. Standard library only. The weekend's Saturday is
2026-11-21; `mediaops-sync import --shift-days N` moves it elsewhere while it is read.
Three files: `plan.ndjson` (events and jobs, one message a line), `registrations.json` (pairs that can
be registered, and pairs that the API must refuse) and `changes.ndjson` (what planning says later).
"""

from __future__ import annotations

import argparse
import json
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from deploy.sample import cases
from deploy.sample.catalogue import (
    DMHE_NO,
    DMHE_YES,
    HEAD_ENDS,
    NODE_TYPES,
    PLAYERS,
    SPORTS,
    STATUSES,
    TX_EVENT_TYPES,
    VENUES,
    Sport,
    Venue,
)

SATURDAY = datetime(2026, 11, 21, tzinfo=UTC)
ALPHABET = "0123456789abcdefghijkmnopqrstuvwxyz"


class Plan:
    """Collects messages and registrations in the order in which planning would send them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.messages: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.registrations: list[dict[str, str]] = []
        self.refused: list[dict[str, str]] = []
        self._resources = 0

    # ids as they come: none alike
    def event_id(self, sport: Sport, number: int) -> str:
        if number % 3 == 0:
            return self.guid()
        return f"{sport.code}-2026-{number:04d}" if number % 3 == 1 else f"ev_{sport.code.title()}.{number}"

    def guid(self) -> str:
        text = f"{self.rng.getrandbits(128):032x}"
        spelled = f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
        return spelled.upper() if self.rng.random() < 0.3 else spelled

    def livestream_id(self) -> str:
        return "".join(self.rng.choice(ALPHABET) for _ in range(12))

    def content_media_id(self) -> str:
        kind = self.rng.randrange(4)
        if kind == 0:
            return str(self.rng.randrange(10_000_000, 99_999_999))
        return f"CM-{self.livestream_id()[:8].title()}" if kind == 1 else self.guid()

    def time(self, instant: datetime, offset: int = 0) -> str:
        """One instant in one of the spellings that planning uses."""
        style = self.rng.random()
        if offset and style < 0.45:
            return instant.astimezone(timezone(timedelta(minutes=offset))).isoformat(timespec="seconds")
        if style > 0.95:
            return instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return instant.strftime("%Y-%m-%dT%H:%M:%SZ")

    def event(
        self, event_id: str, name: str, livestreams: list[dict[str, str]], **more: Any
    ) -> dict[str, Any]:
        return {"type": "event", "id": event_id, "body": {"name": name, **more, "livestreams": livestreams}}

    def job(
        self,
        job_id: str,
        event_id: str,
        status: str,
        info: dict[str, str],
        nodes: list[dict[str, Any]],
        **more: Any,
    ) -> dict[str, Any]:
        body = {"eventId": event_id, "status": status, **more, "jobInfo": info, "nodes": nodes}
        return {"type": "job", "id": job_id, "body": body}

    def register(self, livestream_id: str, content_media_id: str | None = None) -> str:
        content_media_id = content_media_id or self.content_media_id()
        self.registrations.append({"livestreamId": livestream_id, "contentMediaId": content_media_id})
        return content_media_id

    # nodes
    def resource(self, channel: str | None, destination: str, dmhe: Any, name: str = "") -> dict[str, Any]:
        """A resource with the properties that the head end is told about; `dmhe` "absent" leaves DMHE out."""
        self._resources += 1
        number = self._resources
        properties = [{"name": "Owner", "value": "Production pool"}]
        if dmhe != "absent":
            properties.append({"name": "DMHE", "value": dmhe})
        if destination:
            uri = f"srt://ingest-{number % 16:02d}.example.net:{9000 + number % 500}?streamid=feed/{number}"
            properties += [{"name": "Destination", "value": destination}, {"name": "SourceUri", "value": uri}]
        if channel is not None:
            properties.append({"name": "SourceChannelId", "value": channel})
        self.rng.shuffle(properties)
        name = name or f"{self.rng.choice(('ENC', 'DEC', 'MUX', 'GW'))} {number:04d}"
        return {"resourceId": f"r-{number}", "name": name, "properties": properties}

    def node(
        self, order: int, kind: str, resource: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        node_type: str | int = NODE_TYPES[kind] if self.rng.random() < 0.4 else kind
        node: dict[str, Any] = {
            "nodeId": str(order),
            "alias": f"{kind.lower()}-{order}",
            "nodeType": node_type,
            "order": order,
        }
        if resource is not None:
            node["resource"] = resource
        return node | more

    def nodes(self, channel: str, begin: str, end: str) -> list[dict[str, Any]]:
        """A typical chain: a source, feeds to one to three head ends, a spare, things that aren't resources."""
        head_ends = self.rng.sample(HEAD_ENDS, self.rng.choice((1, 2, 2, 3)))
        made = [
            self.node(1, "Source"),
            self.node(2, "ResourcePool", self.resource(None, "", "true", "Pool A")),
        ]
        order = 3
        for _ in range(self.rng.randint(2, 5)):
            head_end = self.rng.choice(head_ends)
            resource = self.resource(channel, head_end, self.rng.choice(DMHE_YES))
            times = {"start": begin, "end": end} if self.rng.random() < 0.2 else {}
            made.append(self.node(order, "Resource", resource, **times))
            order += self.rng.choice((1, 1, 2, 10))
        if self.rng.random() < 0.5:
            off = self.resource("HE-CH-OFF", head_ends[0], self.rng.choice((*DMHE_NO, "absent")))
            made.append(self.node(order, "Resource", off))
        if self.rng.random() < 0.25:
            spare = self.resource("HE-CH-HIDDEN", head_ends[-1], "true")
            made.append(self.node(0, "Resource", spare, hidden=True))
        made.append(self.node(order + 1, "Destination", self.resource(None, HEAD_ENDS[0], "true", "Playout")))
        self.rng.shuffle(made)
        return made


def fixture(plan: Plan, sport: Sport, venue: Venue) -> str:
    """What the event is called."""
    if sport.name == "tennis":
        first, second = plan.rng.sample(PLAYERS, 2)
        return f"{sport.competition} {venue.city}: {first} v {second}, {plan.rng.choice(sport.clubs)}"
    if sport.name in ("cycling", "darts"):
        return f"{sport.competition} {venue.city}, {plan.rng.choice(sport.clubs)} ({venue.ground})"
    away = plan.rng.choice([other for other in VENUES if other is not venue])
    home_club, away_club = plan.rng.sample(sport.clubs, 2)
    return f"{venue.city} {home_club} - {away.city} {away_club} ({venue.ground})"


def add_event(plan: Plan, sport: Sport, number: int) -> None:
    """One ordinary event with its job, and its registrations."""
    venue = plan.rng.choice(VENUES)
    day, hour = plan.rng.choice((-1, 0, 0, 0, 1, 1)), plan.rng.choice(sport.hours)
    start = SATURDAY + timedelta(days=day, hours=hour, minutes=plan.rng.choice((0, 0, 15, 30)) - venue.offset)
    end = start + timedelta(minutes=sport.minutes)
    feeds = []
    for feed in range(plan.rng.choice((1, 1, 1, 1, 2, 3))):
        pre_ko = plan.time(start - timedelta(minutes=sport.lead - 5 * feed), venue.offset)
        tx_type = plan.rng.choice(TX_EVENT_TYPES)
        feeds.append({"livestreamId": plan.livestream_id(), "preKoUtc": pre_ko, "txEventType": tx_type})
    event_id = plan.event_id(sport, number)
    more = {"eventEnd": plan.time(end, venue.offset), "programmeId": f"GLOBAL_p{number}"}
    if number % 2:
        more["eventStart"] = plan.time(start, venue.offset)
    name = fixture(plan, sport, venue)
    event = plan.event(event_id, name, feeds, **more)
    begin, finish = start - timedelta(minutes=90), end + timedelta(minutes=45)
    info = {
        "jobName": name,
        "jobStart": plan.time(begin, venue.offset),
        "jobEnd": plan.time(finish, venue.offset),
    }
    nodes = plan.nodes(f"HE-CH-{number:03d}", plan.time(begin), plan.time(finish))
    status = STATUSES[number % len(STATUSES)]
    version = {"sourceVersion": number} if number % 4 == 0 else {}
    job = plan.job(f"job-{sport.code}-{number}", event_id, status, info, nodes, **version)
    plan.messages += [job, event] if number % 9 == 0 else [event, job]
    if plan.rng.random() < 0.86:
        chosen = plan.rng.sample(feeds, 2 if len(feeds) > 1 and plan.rng.random() < 0.3 else 1)
        for feed_chosen in chosen:
            plan.register(feed_chosen["livestreamId"])


def build(seed: int) -> Plan:
    """The whole weekend, then the awkward cases, then what changes later."""
    plan = Plan(seed)
    number = 0
    for sport in SPORTS:
        for _ in range(sport.events):
            number += 1
            add_event(plan, sport, number)
    cases.add(plan, SATURDAY)
    return plan


def line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write(plan: Plan, out: Path) -> None:
    """The three files, one message or registration a line."""
    for name, messages in (("plan", plan.messages), ("changes", plan.changes)):
        (out / f"{name}.ndjson").write_text("".join(line(one) + "\n" for one in messages), encoding="utf-8")
    blocks = (("registrations", plan.registrations), ("refused", plan.refused))
    joined = [f'"{name}": [\n' + ",\n".join(line(one) for one in rows) + "\n]" for name, rows in blocks]
    (out / "registrations.json").write_text("{" + ",\n".join(joined) + "}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    plan = build(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    write(plan, options.out)


if __name__ == "__main__":
    main()
