"""Judges the event stream by what publishers were answered and what subscribers have received.

Imports nothing from `app`. What it finds wrong
    missing    an acknowledged event that a subscription to it never received; something that the system did and never told
    gap        a delivery that names another one as the one before it than the one that was received there
    disorder   a first receipt that came after one of a higher sequence, where order was promised
    altered    other bytes than were published, or than another subscription got for the same sequence; another guid
    invented   an event that nobody published, or that the subscription didn't ask for
    published twice  a guid that has two places on its topic, or an event that came under another sequence than was answered
    twice      an event that came again, not marked as redelivery, without a fault that explains it
    replay     a hole in what was replayed to its end, or an event of it that hadn't come before
    paused     an event that came though its subscription was paused
and what it counts without finding it wrong: receipts, and events that came again near such a fault.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

BY_TOPIC: Final = "topic"  # everything of a topic in its order
BY_KEY: Final = "key"  # what has one key
ANY: Final = "any"
PARKED: Final = "parked"  # how what a person has sent again is marked; a replay's is marked with its id
# What a record of a stream says beside the event: members added at its end.
_ADDED: Final = re.compile(rb',"sequence":(\d+),"previousSequence":(\d+)(?:,"redelivery":"([^"]+)")?\}\Z')
# What a worker was sending when its subscription was paused may come to its end, at a slow subscriber too.
UNDER_WAY_S: Final = 5.0


@dataclass(frozen=True)
class Subscribed:
    """What a subscription asked for: topic → event names, none for all of them. `refuses`: its receiver never takes an event
    whose sequence this number divides; 0: it takes all."""

    name: str
    topics: Mapping[str, frozenset[str]]
    order: str = BY_TOPIC
    refuses: int = 0

    def wants(self, topic: str, event_name: str) -> bool:
        names = self.topics.get(topic)
        return names is not None and (not names or event_name in names)

    def takes(self, sequence: int) -> bool:
        return not self.refuses or sequence % self.refuses != 0


@dataclass(frozen=True)
class Receipt:
    """One event as a subscriber got it; they are given in the order of arrival. `at`: seconds of the machine's monotonic
    clock. `redelivery`: how it was marked, None where it wasn't."""

    subscription: str
    at: float
    topic: str
    sequence: int
    previous: int
    guid: str
    body: bytes
    redelivery: str | None = None
    key: str = ""


@dataclass
class Published:
    """An event as its publisher sent it. `sequences`: what the API answered, one for each answer; none: no answer came.
    `heard`: when (seconds of the machine's monotonic clock) the first of them came."""

    topic: str
    name: str
    guid: str
    body: bytes
    sequences: list[int] = field(default_factory=list)
    heard: float = 0.0


@dataclass(frozen=True)
class Told:
    """Something that the system did, by what the API said about it: each subscription to such events has to have received
    one with this value in this member."""

    topic: str
    name: str
    member: str
    value: str


@dataclass(frozen=True)
class Excuse:
    """When a fault may have kept a delivery from being written down; of one subscription, or "" of all."""

    since: float
    until: float
    subscription: str = ""


@dataclass(frozen=True)
class Paused:
    """From the answer that said so, until the call that ended it."""

    subscription: str
    since: float
    until: float


@dataclass(frozen=True)
class Replayed:
    """A replay of everything, which the API said was done."""

    subscription: str
    id: str


@dataclass
class Verdict:
    """`wrong`: what broke a promise. `counted`: what is allowed and told."""

    wrong: dict[str, list[str]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


class Journal:
    """Receipts of one subscription, in the order in which they came, sorted by what is asked of them."""

    def __init__(self, subscribed: Subscribed, receipts: Iterable[Receipt]) -> None:
        self.subscribed = subscribed
        self.receipts = [one for one in receipts if one.subscription == subscribed.name]
        self.first: dict[tuple[str, int], Receipt] = {}
        self.guids: dict[str, set[str]] = defaultdict(set)
        for one in self.receipts:
            self.first.setdefault((one.topic, one.sequence), one)
            self.guids[one.topic].add(one.guid)

    @property
    def name(self) -> str:
        return self.subscribed.name


def record(data: bytes) -> tuple[bytes, int, int, str | None] | None:
    """The event of a record of a stream, its sequence, the one before, and how it is marked; None: it carries none."""
    found = _ADDED.search(data)
    if found is None:
        return None
    return data[: found.start()] + b"}", int(found[1]), int(found[2]), found[3].decode() if found[3] else None


def missing(journal: Journal, published: Iterable[Published], told: Iterable[Told]) -> list[str]:
    found = [
        f"{journal.name}: {one.topic} {one.sequences[0]} ({one.name} {one.guid}) was acknowledged and never came"
        for one in published
        if one.sequences
        and journal.subscribed.wants(one.topic, one.name)
        and journal.subscribed.takes(one.sequences[0])
        and one.guid not in journal.guids[one.topic]
    ]
    heard: dict[tuple[str, str, str], set[str]] = {}
    for one in told:
        if not journal.subscribed.wants(one.topic, one.name):
            continue
        about = (one.topic, one.name, one.member)
        if about not in heard:
            heard[about] = _values(journal, *about)
        if one.value not in heard[about]:
            found.append(f"{journal.name}: no {one.name} with {one.member} {one.value}")
    return found


def _values(journal: Journal, topic: str, name: str, member: str) -> set[str]:
    bodies = (_body(one.body) for one in journal.receipts if one.topic == topic)
    return {str(body.get(member)) for body in bodies if body.get("eventName") == name}


def gaps(journal: Journal) -> list[str]:
    """The chain of each topic, from its beginning: every delivery names the one before, and that one came. Where a receiver
    refuses events there is no such chain."""
    found: list[str] = []
    if journal.subscribed.refuses:
        return found
    for topic in journal.subscribed.topics:
        before = 0
        for sequence in sorted(sequence for of, sequence in journal.first if of == topic):
            named = journal.first[topic, sequence].previous
            if named != before:
                found.append(f"{journal.name}: {topic} {sequence} names {named} before it, not {before}")
            before = sequence
    for one in journal.receipts:
        named = journal.first[one.topic, one.sequence].previous
        if one.previous != named and one.redelivery is None:
            found.append(
                f"{journal.name}: {one.topic} {one.sequence} names {named}, and again {one.previous}"
            )
    return found


def replay_faults(journal: Journal, done: Iterable[Replayed]) -> list[str]:
    """Each replay has a chain of its own, which begins at 0; what a subscriber has refused of it comes as parked. One that was
    cancelled has holes where not all of a topic is in one order."""
    ended = {one.id for one in done if one.subscription == journal.name}
    whole = journal.subscribed.order == BY_TOPIC
    live = {(one.topic, one.sequence) for one in journal.receipts if one.redelivery is None}
    aside = {(one.topic, one.sequence) for one in journal.receipts if one.redelivery == PARKED}
    known = live | aside
    chains: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for one in journal.receipts:
        if one.redelivery not in (None, PARKED):
            chains[str(one.redelivery), one.topic][one.sequence] = one.previous
    found = []
    for (replay, topic), chain in chains.items():
        what = f"{journal.name}: replay {replay}, {topic}"
        before = 0
        for sequence, named in sorted(chain.items()):
            if named != before and (topic, named) not in aside and (whole or replay in ended):
                found.append(f"{what} {sequence} names {named}, not {before}")
            if (topic, sequence) not in known:
                found.append(f"{what} {sequence} had never come")
            before = sequence
        first = min((sequence for of, sequence in live if of == topic), default=0)
        if replay in ended and min(chain) > first and (topic, first) not in aside:
            found.append(f"{what} begins with {min(chain)}, not {first}")
    return found


def paused_faults(journal: Journal, pauses: Iterable[Paused], frozen: Sequence[Excuse]) -> list[str]:
    """`frozen`: while a worker was, it may have had an event half sent."""
    found = []
    for pause in pauses:
        since = pause.since + UNDER_WAY_S
        if pause.subscription != journal.name or any(
            f.since < pause.until and pause.since < f.until for f in frozen
        ):
            continue
        found += [
            f"{journal.name}: {one.topic} {one.sequence} came {one.at - pause.since:.1f} s after it was paused"
            for one in journal.receipts
            if since < one.at < pause.until
        ]
    return found


def disorder(journal: Journal) -> list[str]:
    """Only first receipts: one that comes again is old by nature; what is sent again by a person has left the order."""
    found = []
    newest: dict[tuple[str, str], int] = {}
    for one in journal.first.values():
        if one.redelivery is not None or journal.subscribed.order == ANY:
            continue
        line = (one.topic, one.key if journal.subscribed.order == BY_KEY else "")
        if one.sequence < newest.get(line, 0):
            found.append(f"{journal.name}: {one.topic} {one.sequence} came after {newest[line]}")
        newest[line] = max(one.sequence, newest.get(line, 0))
    return found


def altered(journals: Sequence[Journal], published: Mapping[tuple[str, str], Published]) -> list[str]:
    found = []
    known: dict[tuple[str, int], bytes] = {}
    for journal in journals:
        for one in journal.receipts:
            place = f"{journal.name}: {one.topic} {one.sequence}"
            sent = published.get((one.topic, one.guid))
            if sent is not None and one.body != sent.body:
                found.append(f"{place} isn't what was published: {_difference(one.body, sent.body)}")
            body = known.setdefault((one.topic, one.sequence), one.body)
            if body != one.body:
                found.append(f"{place} has come with other bytes: {_difference(one.body, body)}")
            if _body(one.body).get("guid") != one.guid:
                found.append(f"{place} came as {one.guid}, which isn't its guid")
    return found


def invented(
    journal: Journal, published: Mapping[tuple[str, str], Published], own: Iterable[str]
) -> list[str]:
    """`own`: topics on which the system tells what it does itself."""
    known, found = set(own), []
    for one in journal.receipts:
        name = str(_body(one.body).get("eventName"))
        if not journal.subscribed.wants(one.topic, name):
            found.append(f"{journal.name}: {one.topic} {one.sequence} is a {name}, which it didn't ask for")
        elif one.topic not in known and (one.topic, one.guid) not in published:
            found.append(f"{journal.name}: {one.topic} {one.sequence} ({one.guid}), which nobody published")
    return found


def published_twice(journals: Sequence[Journal], published: Iterable[Published]) -> list[str]:
    found = []
    places: dict[tuple[str, str], set[int]] = defaultdict(set)
    for journal in journals:
        for one in journal.receipts:
            places[one.topic, one.guid].add(one.sequence)
    for event in published:
        places[event.topic, event.guid].update(event.sequences)
    for (topic, guid), sequences in places.items():
        if len(sequences) > 1:
            found.append(f"{guid} has the places {sorted(sequences)} on {topic}")
    return found


def twice(journal: Journal, excuses: Sequence[Excuse]) -> tuple[int, list[str]]:
    """Events that came again without being marked: how many a fault explains, and the others."""
    explained, found = 0, []
    last: dict[tuple[str, int], float] = {}
    for one in journal.receipts:
        if one.redelivery is not None:
            continue
        place = (one.topic, one.sequence)
        since = last.get(place)
        last[place] = one.at
        if since is None:
            continue
        if any(
            fault.since <= one.at and since <= fault.until and fault.subscription in ("", journal.name)
            for fault in excuses
        ):
            explained += 1
        else:
            found.append(
                f"{journal.name}: {one.topic} {one.sequence} came again after {one.at - since:.1f} s"
            )
    return explained, found


def judge(
    subscribed: Sequence[Subscribed],
    receipts: Sequence[Receipt],
    published: Sequence[Published],
    excuses: Sequence[Excuse] = (),
    *,
    own: Iterable[str] = (),
    told: Sequence[Told] = (),
    replayed: Sequence[Replayed] = (),
    paused: Sequence[Paused] = (),
    frozen: Sequence[Excuse] = (),
) -> Verdict:
    """All of it. Every subscription began before anything was published."""
    journals = [Journal(one, receipts) for one in subscribed]
    by_guid = {(one.topic, one.guid): one for one in published}
    topics = list(own)
    wrong: dict[str, list[str]] = {
        "missing": [], "gap": [], "disorder": [], "altered": altered(journals, by_guid), "invented": [],
        "published twice": published_twice(journals, published), "twice": [], "replay": [], "paused": [],
    }  # fmt: skip
    counted = {}
    for journal in journals:
        explained, unexplained = twice(journal, excuses)
        wrong["missing"] += missing(journal, published, told)
        wrong["gap"] += gaps(journal)
        wrong["disorder"] += disorder(journal)
        wrong["invented"] += invented(journal, by_guid, topics)
        wrong["twice"] += unexplained
        wrong["replay"] += replay_faults(journal, replayed)
        wrong["paused"] += paused_faults(journal, paused, frozen)
        counted[f"{journal.name}: received"] = len(journal.first)
        counted[f"{journal.name}: came again, by a fault"] = explained
        counted[f"{journal.name}: sent again by hand"] = sum(
            one.redelivery is not None for one in journal.receipts
        )
    return Verdict({name: problems for name, problems in wrong.items() if problems}, counted)


def _body(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _difference(one: bytes, other: bytes) -> str:
    """Where two texts part."""
    at = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return f"{one[max(0, at - 20) : at + 20]!r} for {other[max(0, at - 20) : at + 20]!r}"
