"""Judges a run from outside: by the stand-in's journal and by what the API answers. Imports nothing from `app`.

What counts as wrong
    lost         an acknowledged request that is neither delivered, nor made superfluous by a newer one that was,
                 nor visible in the failed table (or parked, or expired, where that is expected)
    stale        an older value of a field applied after a newer one
    final        AVOS holds something else in the end than what was asked for last
    side by side two writes to one content media at once
    unread       a PATCH whose lastModified isn't the one that the GET right before it returned
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]
Record = Mapping[str, Any]


@dataclass
class Wishes:
    """What was asked for and acknowledged, for one field of one content media: the values in order, each used once."""

    media: str
    member: str
    values: list[Any] = field(default_factory=list)


def patches(journal: Iterable[Entry], media: str) -> list[Entry]:
    return [entry for entry in of_media(journal, media) if entry["method"] == "PATCH"]


def of_media(journal: Iterable[Entry], media: str) -> list[Entry]:
    """In order of arrival."""
    wanted = media.casefold()
    found = [entry for entry in journal if (entry["contentMediaId"] or "").casefold() == wanted]
    return sorted(found, key=lambda entry: entry["seq"])


def applied(journal: Iterable[Entry], media: str) -> list[Entry]:
    """PATCHes that changed something, in the order in which they did."""
    written = [entry for entry in patches(journal, media) if entry["applied"]]
    return sorted(written, key=lambda entry: int(entry["appliedAs"]))


def stale(journal: Sequence[Entry], wishes: Iterable[Wishes]) -> list[str]:
    """Every value that landed after one that was asked for later."""
    found = []
    for wish in wishes:
        rank = {value: number for number, value in enumerate(wish.values)}
        newest = -1
        for entry in applied(journal, wish.media):
            if wish.member not in entry["body"]:
                continue
            value = entry["body"][wish.member]
            if value not in rank:
                found.append(
                    f"{wish.media}: {wish.member} = {value}, which nobody asked for (entry {entry['seq']})"
                )
                continue
            if rank[value] < newest:
                found.append(
                    f"{wish.media}: {wish.member} = {value} (number {rank[value]}) after number {newest} "
                    f"(entry {entry['seq']})"
                )
            newest = max(newest, rank[value])
    return found


def wrong_in_the_end(states: Mapping[str, Mapping[str, Any]], wishes: Iterable[Wishes]) -> list[str]:
    """`states`: what the stand-in holds, by content media."""
    found = []
    for wish in wishes:
        held = states[wish.media]
        shown = {**held["fields"], **held["source"]}.get(wish.member)
        if shown != wish.values[-1]:
            found.append(f"{wish.media}: {wish.member} is {shown!r}, not {wish.values[-1]!r}")
    return found


def side_by_side(journal: Sequence[Entry]) -> list[str]:
    """Two writes to one content media at once. One that the far side never answered ends when it was applied."""
    found = []
    for media in {entry["contentMediaId"].casefold() for entry in journal if entry["contentMediaId"]}:
        busy_until, before = 0.0, None
        for entry in of_media(journal, media):
            if entry["method"] in ("GET", "EDIT"):
                continue
            if before is not None and entry["arrived"] < busy_until:
                found.append(f"{media}: entry {entry['seq']} came while entry {before['seq']} was under way")
            end = entry["answered"] or entry["appliedAt"] or entry["arrived"]
            if end > busy_until:
                busy_until, before = end, entry
    return found


def unread(journal: Sequence[Entry]) -> list[str]:
    """PATCHes that weren't led by a GET of their own, or didn't send what it returned."""
    found = []
    for media in {entry["contentMediaId"].casefold() for entry in journal if entry["contentMediaId"]}:
        before: Entry | None = None
        for entry in of_media(journal, media):
            if entry["method"] == "EDIT":
                continue
            if entry["method"] == "PATCH":
                if before is None or before["method"] != "GET" or before["status"] != 200:
                    found.append(f"{media}: before PATCH {entry['seq']} there is no GET of its own")
                elif before["before"] != entry["lastModified"]:
                    found.append(
                        f"{media}: PATCH {entry['seq']} doesn't carry what GET {before['seq']} returned"
                    )
            before = entry
    return found


VISIBLE = ("failed", "rejected", "expired")


def lost(
    acknowledged: Iterable[str], records: Mapping[str, Record | None], journal: Sequence[Entry]
) -> list[str]:
    """`records`: what the API answers for each id, None where it knows none."""
    by_media: dict[str, list[Entry]] = {}
    for entry in journal:
        if entry["applied"] and entry["contentMediaId"]:
            by_media.setdefault(entry["contentMediaId"].casefold(), []).append(entry)
    found = []
    for request_id in acknowledged:
        problem = _fate(request_id, records, by_media)
        if problem is not None:
            found.append(f"{request_id}: {problem}")
    return found


def _fate(
    request_id: str, records: Mapping[str, Record | None], by_media: Mapping[str, list[Entry]]
) -> str | None:
    """What is wrong with the end that a request came to; None if nothing is."""
    seen = set()
    while True:
        record = records.get(request_id)
        if record is None:
            return "the API doesn't know it"
        state = record["state"]
        if state in VISIBLE:
            return None
        if state == "superseded":
            if record.get("reason") == "unregistered":
                return None
            newer = record["supersededBy"]
            if newer is None or newer in seen:
                return f"superseded by {newer}"
            seen.add(request_id)
            request_id = newer
            continue
        if state != "delivered":
            return f"it is {state}"
        return None if _landed(record, by_media) else "it says delivered, but it was never applied"


def _landed(record: Record, by_media: Mapping[str, list[Entry]]) -> bool:
    """Whether the far side has applied a PATCH of what this request sent last. Members that a newer request had set
    by then aren't sent, so what was sent is a part of the body."""
    entries = by_media.get(record["contentMediaId"].casefold(), [])
    steps = [step for attempt in record["attempts"] for step in [*attempt.get("earlier", []), attempt]]
    sent = [step["send"]["body"] for step in steps if "send" in step and "body" in step["send"]]
    if not sent:  # the worker died before it could tell; the next one found it done
        sent = [{"lastModified": None, **record["body"]}]
    wanted = {name: value for name, value in sent[-1].items() if name != "lastModified"}
    return any(
        entry["path"] == record["path"]
        and all(entry["body"].get(name) == value for name, value in wanted.items())
        for entry in entries
        if isinstance(entry["body"], dict)
    )


def judge(
    journal: Sequence[Entry],
    acknowledged: Sequence[str],
    records: Mapping[str, Record | None],
    wishes: Sequence[Wishes],
    states: Mapping[str, Mapping[str, Any]],
) -> dict[str, list[str]]:
    """All of it; empty when nothing is wrong."""
    found = {
        "lost": lost(acknowledged, records, journal),
        "stale": stale(journal, wishes),
        "final": wrong_in_the_end(states, wishes),
        "side by side": side_by_side(journal),
        "unread": unread(journal),
    }
    return {name: problems for name, problems in found.items() if problems}
