"""Attempts: with the engine on a store, and driven without I/O: along a script of steps and
answers, or along every answer that there could be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.avos.attempt import AvosWay
from app.outgoing.attempts import Attempt, Ending, PatchWay, Prepared, Step
from app.outgoing.engine import Client, Engine, FarSide
from app.outgoing.fields import FieldReader
from app.outgoing.model import AVOS, Claim
from app.outgoing.store import OutgoingStore

Exchanged = tuple[Step[Any], Any]  # a step, and what it is answered


def avos_engine(store: OutgoingStore, client: Client, *, park: bool = False, timeout_s: float = 5) -> Engine:
    """The real engine on a real store, for AVOS."""
    return Engine(store, FieldReader(store), {AVOS: FarSide(AvosWay(park=park), client, timeout_s)})


def claim(method: str = "PATCH", path: str = "/external/contentMedia/live/C1", **more: Any) -> Claim:
    """A claim on request r1 of content media C1."""
    return Claim(
        request_id="r1",
        token="t",
        fence=1,
        destination="avos",
        method=method,
        path=path,
        kind="booking",
        content_media_id="C1",
        at_ms=1_795_289_400_000,
        lease_until_ms=1_795_289_415_000,
        **more,
    )


def whole(way: PatchWay, claim: Claim) -> Attempt[Ending]:
    """Both halves of a PATCH, or all of another method. The second half gets its claim as it comes
    out of a message."""
    if claim.method != "PATCH":
        return (yield from way.send(claim))
    prepared = yield from way.prepare(claim)
    if not isinstance(prepared, Prepared):
        return prepared
    return (yield from way.patch(replace(claim, delivered=()), prepared))


def follow(attempt: Attempt[Ending], script: Iterable[Exchanged]) -> Ending:
    """Answer each step as the script says; the attempt has to ask for these steps and no others."""
    answer: Any = None
    for number, (expected, following) in enumerate(script, start=1):
        try:
            step = attempt.send(answer)
        except StopIteration as ended:
            raise AssertionError(f"It ends before step {number} ({expected}): {ended.value}") from None
        assert step == expected, f"step {number}"
        answer = following
    try:
        step = attempt.send(answer)
    except StopIteration as ended:
        ending: Ending = ended.value
        return ending
    raise AssertionError(f"It goes on where it should end: {step}")


@dataclass(frozen=True, slots=True)
class Trace:
    """One way through an attempt. `ending` None: it was still going on after the last answer."""

    steps: tuple[Exchanged, ...]
    ending: Ending | None


def explore(
    begin: Callable[[], Attempt[Ending]],
    answers: Callable[[Step[Any]], Sequence[Any]],
    *,
    depth: int,
    most: int = 60,
) -> Iterator[Trace]:
    """Every trace of an attempt: each of the `answers` to each step, up to `depth` steps; from
    there on the last of them, which should be the one that keeps it busy longest, up to `most`
    steps."""
    open_: list[tuple[Any, ...]] = [()]
    while open_:
        given = open_.pop()
        trace, asked = _replay(begin(), given)
        if asked is None or len(given) == most:
            yield trace
            continue
        choices = answers(asked)
        open_ += [(*given, choice) for choice in (choices if len(given) < depth else choices[-1:])]


def _replay(attempt: Attempt[Ending], given: Sequence[Any]) -> tuple[Trace, Step[Any] | None]:
    """The trace with these answers, and what is asked then; None: it has ended."""
    steps: list[Exchanged] = []
    answer: Any = None
    for following in (*given, None):
        try:
            step = attempt.send(answer)
        except StopIteration as ended:
            return Trace(tuple(steps), ended.value), None
        if len(steps) < len(given):
            steps.append((step, following))
        answer = following
    attempt.close()
    return Trace(tuple(steps), None), step
