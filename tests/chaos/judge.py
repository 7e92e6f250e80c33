"""Judges a campaign by what was acknowledged, what the API answers and what the stand-in's journal says.

Imports nothing from `app`. What it finds wrong
    lost          an acknowledged request that the API doesn't know, that isn't at an end, or that says delivered and
                  was never applied
    stale         an older value of a field applied after a newer one
    final         the far side holds something else in the end than what was asked for last
    unread        a PATCH whose lastModified no GET of its own returned before it
    side by side  two writes of a lane under way at once, and both applied; or, without a fault that explains it, at all
    twice         a POST that was applied twice; any other write, without a fault between its send and its finish
and what it counts without finding it wrong: writes that were applied again after such a fault, and writes that met in
a lane because a frozen worker woke up or a slow far side was given up, of which the condition refused one.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Entry = Mapping[str, Any]
Record = Mapping[str, Any]
READING: Final = ("GET", "EDIT")
VISIBLE: Final = ("failed", "rejected", "expired")


@dataclass
class Wish:
    """The values of one field of one path in the order in which they were asked for, each used once. `heard`: when
    (seconds of the machine's monotonic clock) each was acknowledged, None where it wasn't."""

    path: str
    member: str
    values: list[Any] = field(default_factory=list)
    heard: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class Staged:
    """When (seconds of the machine's monotonic clock) a worker was frozen, or the far side slower than an attempt."""

    since: float
    until: float


@dataclass
class Verdict:
    """`wrong`: what broke a promise. `counted`: what is allowed and told."""

    wrong: dict[str, list[str]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


class Evidence:
    """The journal, sorted by what is asked of it."""

    def __init__(self, journal: Sequence[Entry], records: Mapping[str, Record]) -> None:
        self.records = records
        self.by_lane: dict[str, list[Entry]] = defaultdict(list)
        self.applied: dict[str, list[Entry]] = defaultdict(list)
        for entry in sorted(journal, key=lambda entry: int(entry["seq"])):
            self.by_lane[lane_of(entry)].append(entry)
            if entry["applied"] and entry["method"] != "EDIT":
                self.applied[str(entry["path"])].append(entry)
        for entries in self.applied.values():
            entries.sort(key=lambda entry: int(entry["appliedAs"]))
        self.asked: dict[str, list[Record]] = defaultdict(list)
        for record in records.values():
            if record["attemptCount"]:
                self.asked[str(record["path"])].append(record)


def lane_of(entry: Entry) -> str:
    """A content media, or a path of its own."""
    return str(entry["contentMediaId"] or entry["path"]).casefold()


def values_of(body: Any) -> dict[str, Any]:
    return (
        {name: value for name, value in body.items() if name != "lastModified"}
        if isinstance(body, dict)
        else {}
    )


# Wishes ---------------------------------------------------------------------------------------------------------------


def stale(seen: Evidence, wishes: Iterable[Wish]) -> list[tuple[str, Entry]]:
    """Every value that landed after one that was asked for later, with its entry."""
    found = []
    for wish in wishes:
        rank = {value: number for number, value in enumerate(wish.values)}
        newest = -1
        for entry in seen.applied[wish.path]:
            value = values_of(entry["body"]).get(wish.member)
            if value is None:
                continue
            number = rank.get(value)
            if number is None:
                found.append((f"{wish.path} {wish.member} = {value}, which nobody asked for", entry))
            elif number < newest:
                text = f"{wish.path} {wish.member} = {value} (number {number}) after number {newest}"
                found.append((f"{text}, {entry['method']} {entry['seq']}", entry))
            else:
                newest = number
    return found


def healed_after(seen: Evidence, wish_path: str, member: str, since: Entry) -> float | None:
    """Seconds from a stale write to the next write of this field; None if there was none."""
    for entry in seen.applied[wish_path]:
        if int(entry["appliedAs"]) > int(since["appliedAs"]) and member in values_of(entry["body"]):
            return float(entry["appliedAt"]) - float(since["appliedAt"])
    return None


def wrong_in_the_end(states: Mapping[str, Mapping[str, Any]], wishes: Iterable[Wish]) -> list[str]:
    """`states`: what the stand-in holds, by content media id or path."""
    found = []
    for wish in wishes:
        held = states.get(holder(wish.path), {})
        part = "source" if wish.path.endswith("/sourceMedia/") else "fields"
        shown = held.get(part, {}).get(wish.member)
        if shown != wish.values[-1]:
            found.append(f"{wish.path} {wish.member} is {shown!r}, not {wish.values[-1]!r}")
    return found


def holder(path: str) -> str:
    """Under which name the stand-in keeps what is written to this path."""
    parts = path.split("/")
    return parts[4] if parts[2:4] == ["contentMedia", "live"] else path


# Requests -------------------------------------------------------------------------------------------------------------


def lost(seen: Evidence, acknowledged: Iterable[str]) -> list[str]:
    found = []
    for request_id in acknowledged:
        problem = _fate(seen, request_id)
        if problem:
            found.append(f"{request_id}: {problem}")
    return found


def _fate(seen: Evidence, request_id: str) -> str | None:
    """What is wrong with the end that a request came to; None if nothing is."""
    passed = set()
    while True:
        record = seen.records.get(request_id)
        if record is None:
            return "the API doesn't know it"
        if record["state"] in VISIBLE:
            return None
        if record["state"] == "superseded":
            newer = record["supersededBy"]
            if record.get("reason") == "unregistered":
                return None
            if not newer or newer in passed:
                return f"superseded by {newer}"
            passed.add(request_id)
            request_id = newer
            continue
        if record["state"] != "delivered":
            return f"it is {record['state']}"
        return None if _landed(seen, record) else "it says delivered, but was never applied"


def _landed(seen: Evidence, record: Record) -> bool:
    """Members that a newer request had set by then aren't sent: a part of the body, as its last attempt tells."""
    steps = [step for attempt in record["attempts"] for step in [*attempt.get("earlier", []), attempt]]
    sent = [step["send"]["body"] for step in steps if "body" in step.get("send", {})]
    wanted = values_of(sent[-1] if sent else record["body"])
    return any(_holds(entry, wanted) for entry in seen.applied[str(record["path"])])


def _holds(entry: Entry, wanted: Mapping[str, Any]) -> bool:
    written = values_of(entry["body"])
    return all(written.get(name) == value for name, value in wanted.items())


def again(seen: Evidence) -> tuple[int, list[str]]:
    """Writes that were applied more often than they were asked for: how many, and those that no fault explains."""
    count, unexplained = 0, []
    for path, entries in seen.applied.items():
        bodies = Counter(json.dumps(values_of(entry["body"]), sort_keys=True) for entry in entries)
        for text, times in bodies.items():
            if times == 1:
                continue
            written = json.loads(text)
            owners = [one for one in seen.asked[path] if written.items() <= values_of(one["body"]).items()]
            extra = times - len(owners)
            if extra <= 0:
                continue
            count += extra
            posted = any(one["method"] == "POST" for one in owners)
            if posted or not any(_interrupted(one) for one in owners):
                unexplained.append(f"{path}: {text} was applied {times} times for {len(owners)} requests")
    return count, unexplained


def _interrupted(record: Record) -> bool:
    """Whether a fault fell between a send and its finish: a lost lease, or an answer that never came."""
    for attempt in record["attempts"]:
        steps = [*attempt.get("earlier", []), attempt]
        if attempt["outcome"] == "lease_lost" or any("readBack" in step for step in steps):
            return True
        if any("status" not in step["send"] for step in steps if "send" in step):
            return True
    return False


# The far side's view --------------------------------------------------------------------------------------------------


def unread(seen: Evidence) -> list[str]:
    """PATCHes beyond the GETs that returned their lastModified: each needs one of its own, before it."""
    found = []
    for lane, entries in seen.by_lane.items():
        read: Counter[str] = Counter()
        for entry in entries:
            if entry["method"] == "GET" and entry["status"] == 200:
                read[entry["before"]] += 1
            elif entry["method"] == "PATCH":
                read[entry["lastModified"]] -= 1
                if read[entry["lastModified"]] < 0:
                    found.append(
                        f"{lane}: PATCH {entry['seq']} sends {entry['lastModified']}, without a GET that returned it"
                    )
    return found


def side_by_side(seen: Evidence, staged: Sequence[Staged]) -> tuple[int, list[str]]:
    """Writes that met in a lane: how many the condition told apart, and those that broke the promise."""
    met, found = 0, []
    for lane, entries in seen.by_lane.items():
        before: Entry | None = None
        for entry in entries:
            if entry["method"] in READING:
                continue
            if before is not None and entry["arrived"] < _end(before):
                text = f"{lane}: {entry['method']} {entry['seq']} came while {before['seq']} was under way"
                if entry["applied"] and before["applied"]:
                    found.append(f"{text}, and both were applied")
                elif not any(one.since <= entry["arrived"] <= one.until for one in staged):
                    found.append(text)
                else:
                    met += 1
            if before is None or _end(entry) > _end(before):
                before = entry
    return met, found


def _end(entry: Entry) -> float:
    return float(entry["answered"] or entry["appliedAt"] or entry["arrived"])


def judge(
    journal: Sequence[Entry],
    records: Mapping[str, Record],
    acknowledged: Sequence[str],
    wishes: Sequence[Wish],
    states: Mapping[str, Mapping[str, Any]],
    staged: Sequence[Staged] = (),
    *,
    coarse: bool = False,
) -> Verdict:
    """All of it. `coarse`: the far side's lastModified has whole seconds, so the condition can't tell two writes of a
    second apart: what is stale or met is counted, with the time until it was made good."""
    seen = Evidence(journal, records)
    old = stale(seen, wishes)
    repeated, unexplained = again(seen)
    met, meeting = side_by_side(seen, staged)
    wrong = {
        "lost": lost(seen, acknowledged),
        "stale": [text for text, _ in old],
        "final": wrong_in_the_end(states, wishes),
        "unread": unread(seen),
        "side by side": meeting,
        "twice": unexplained,
    }
    counted = {"written again": repeated, "met and refused": met}
    if coarse:
        counted["stale"] = len(wrong.pop("stale"))
        counted["side by side"] = len(wrong.pop("side by side"))
    return Verdict({name: problems for name, problems in wrong.items() if problems}, counted)
