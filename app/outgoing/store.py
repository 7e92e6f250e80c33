"""Outgoing requests in Redis: every change of state is one script of `lua/`, called from here.

Nothing else writes these keys. All methods raise `Unavailable` while the store is away; a write's
outcome is then unknown, and repeating it is safe (claims and finishes carry a token, accepts an
Idempotency-Key).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import Redis

from app.outgoing.control import Control, acceptance_control
from app.outgoing.decision import AttemptResult, again_s, decide, rest, signal
from app.outgoing.errors import Again, IdempotencyMismatch
from app.outgoing.keys import OutgoingKeys
from app.outgoing.lanes import Mark
from app.outgoing.model import Acceptance, Accepted, Claim, Sending, State, encode
from app.outgoing.scripts import OutgoingScripts
from app.platform.clock import from_ms
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.redis import store_errors
from app.platform.scripts import Scripts, unique

# How many requests one script call takes on. Nothing may hold the server for 10 ms, and a busy machine takes some times
# what a quiet one takes (microseconds a request, quiet): sweep 6, promote 50, trim 60, expire and reclaim 120 to 250.
RETRY_CHUNK = 500
PROMOTE_CHUNK = 50
EXPIRE_CHUNK = 10
TRIM_CHUNK = 25
AUDIT_CHUNK = 50
_MORE_MARKS = 2  # what `finish` says


@dataclass(frozen=True, slots=True)
class LaneSummary:
    """`behind`: something waits or is live; `failing`: something failed, or ended undelivered and was not
    made good by a newer delivery; `held` by an operator."""

    behind: bool
    failing: bool
    held: bool


@dataclass(frozen=True, slots=True)
class Suspect:
    """A content media's lane, or `Path:` and a path, where an old write may have landed after a newer one. `till_ms`
    says which suspicion it is."""

    name: str
    till_ms: int


def _pairs(flat: Sequence[bytes]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name.decode(), value) for name, value in zip(flat[::2], flat[1::2], strict=True))


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


class OutgoingStore:
    """See the module. `now_ms` replaces the server's clock in tests."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        scripts: OutgoingScripts,
        *,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self.keys = OutgoingKeys.of(keys)
        self.scripts = scripts
        self.destinations = scripts.destinations
        self.history = scripts.history
        common = {"log_length": scripts.history.log_length}
        runner = Scripts(client, keys, scripts, common=common, now_ms=now_ms)
        self.client = runner.client
        self._run = runner.run
        self.time_ms = runner.time_ms

    def destination_names(self) -> list[str]:
        """All destinations, each instance of a family by itself."""
        families = [one.name for one in self.destinations if one.instances]
        found: list[list[bytes]] = []
        if families:
            with store_errors():
                pipe = self.client.pipeline(transaction=False)
                for name in families:
                    pipe.zrange(self.keys.instances(name), 0, -1)
                found = pipe.execute()
        single = [one.name for one in self.destinations if not one.instances]
        return single + [name.decode() for names in found for name in names]

    # Accept ---------------------------------------------------------------------------------------

    def accept(self, acceptance: Acceptance) -> Accepted:
        """Write the change and all it causes, or nothing.

        Raises `Again` when a guard no longer holds, `IdempotencyMismatch` when the key was used with
        another body, `Unavailable` when the store is away or too full to take more.
        """
        control, payloads = acceptance_control(acceptance, self.destinations)
        word, *rest = self._run("accept", control, *payloads)
        match word:
            case b"again":
                raise Again
            case b"mismatch":
                raise IdempotencyMismatch
            case b"full":
                raise Unavailable(
                    "The store is nearly full and takes no new work.", code="store_full", retry_after=10
                )
        at, *ids = rest
        return Accepted(tuple(i.decode() for i in ids), from_ms(int(at)), repeated=word == b"repeated")

    # The way of one request -----------------------------------------------------------------------

    def promote(self, destination: str) -> int:
        """From pending (and what is due of the failed) to live, up to the bound; returns how many.

        Behind an open breaker nothing but probes, when their time has come; just after it has closed, the failed table
        is swept once more, so that it needn't wait for the tick.
        """
        control: Control = {"destination": destination, "limit": PROMOTE_CHUNK}
        promoted = 0
        while True:
            count, sweep = self._run("promote", control)
            promoted += int(count)
            if sweep:
                self.sweep(destination)
            elif count < PROMOTE_CHUNK:
                return promoted

    def claim(self, request_id: str) -> Claim | None:
        """The lease on a live request, or None: ended, taken by another message, or unregistered."""
        token = unique()
        answer = self._run("claim", {"id": request_id, "token": token})
        if answer is None:
            return None
        at, lease_until, fence, destination, method, path, media, unknown, *more = answer[:12]
        age_from, deadline, kind, urgent_at = more
        return Claim(
            request_id=request_id,
            token=token,
            fence=int(fence),
            destination=destination.decode(),
            method=method.decode(),
            path=path.decode(),
            kind=kind.decode(),
            content_media_id=media.decode() or None,
            at_ms=int(at),
            lease_until_ms=int(lease_until),
            age_from_ms=int(age_from) if age_from else None,
            deadline_ms=int(deadline) if deadline else None,
            urgent_at_ms=int(urgent_at) if urgent_at else None,
            unknown=json.loads(unknown) if unknown else None,
            delivered=_pairs(answer[12:]),
        )

    def begin(self, claim: Claim, last_modified: str | None) -> Sending | None:
        """What may be sent, asked immediately before sending; None when nothing may be.

        `last_modified` is what will be sent with it, remembered in case the answer is lost.
        """
        control: Control = {"id": claim.request_id, "token": claim.token}
        answer = self._run("begin", control, last_modified or "")
        if answer is None:
            return None
        _, content_type, body, *pairs = answer
        return Sending(members=_pairs(pairs), body=body or None, content_type=content_type.decode())

    def finish(self, claim: Claim, result: AttemptResult) -> bool:
        """Write down an attempt's end and what follows from it; False where the lease was lost."""
        error, destination = result.error, self.destinations.of(claim.destination)
        control: Control = {
            "id": claim.request_id,
            "token": claim.token,
            "state": State.DELIVERED.value,
            "signal": signal(error).value,
            "rest_ms": int(rest(error, destination.retry) * 1000),
        }
        if result.suspect:
            control["suspect"] = True
        if error is not None:
            age_from = _instant(claim.age_from_ms)
            decision = decide(
                error,
                now=from_ms(self.time_ms()),
                age_from=age_from,
                deadline=_instant(claim.deadline_ms),
                destination=destination,
                urgent_at=_instant(claim.urgent_at_ms),
            )
            control |= {"state": decision.state.value, "code": error.code, "detail": error.detail}
            if decision.next_try_at is not None:
                control["next_try_at"] = int(decision.next_try_at.timestamp() * 1000)
            again = again_s(error, age_from, destination.retry)
            if again is not None:
                control["again_ms"] = int(again * 1000)
        unknown = encode(error.unknown) if error is not None and error.unknown is not None else b""
        word = int(self._run("finish", control, encode(result.attempt), unknown))
        if word == _MORE_MARKS:
            self.clear_marks(claim.destination)
        return word > 0

    def drifted(
        self,
        claim: Claim,
        members: Sequence[str],
        found: Mapping[str, Any],
        *,
        park: bool,
        attempt: Mapping[str, Any] | None = None,
        unknown: bool = False,
    ) -> bool:
        """Note that somebody else has changed `members` in AVOS (`found` is told to the world); whether to go
        on: with `park` the request waits for a person, and `attempt` is its last so far. `unknown`: the attempt
        has sent something whose answer was lost."""
        control: Control = {
            "id": claim.request_id,
            "token": claim.token,
            "members": list(members),
            "park": park,
            "unknown": unknown,
        }
        return bool(self._run("drifted", control, encode(found), encode(dict(attempt or {}))))

    @property
    def keep_ms(self) -> int:
        """How long history is kept."""
        return int(self.history.keep.total_seconds() * 1000)

    # Ticks ----------------------------------------------------------------------------------------

    def sweep(self, destination: str) -> int:
        """Make due what has failed and may be tried again by now; chunk by chunk."""
        swept, till = 0, None
        while True:
            control: Control = {"destination": destination, "limit": RETRY_CHUNK}
            if till is not None:
                control["until_ms"] = till
            count, till = self._run("sweep", control)
            swept += int(count)
            if int(count) < RETRY_CHUNK:
                return swept
            till = int(till)

    def reclaim(self, destination: str) -> int:
        """Take back live requests whose lease has run out."""
        control: Control = {"destination": destination, "limit": EXPIRE_CHUNK}
        taken_back = 0
        while True:
            looked, some = self._run("reclaim", control)
            taken_back += int(some)
            if int(looked) < EXPIRE_CHUNK:
                return taken_back

    def expire(self, destination: str, *, seconds: float = float("inf")) -> int:
        """End what has failed, or waits behind an open breaker, and is too old or past its deadline; for so long
        at most, and the rest next time (until then `begin` refuses to send it)."""
        return self._for(seconds, "expire", {"destination": destination}, EXPIRE_CHUNK)

    def suspects(self, destination: str, limit: int = 100) -> list[Suspect]:
        """What is to be read back now, each at most once a lease until `cleared`."""
        flat = self._run("suspects", {"destination": destination, "limit": limit})
        return [Suspect(name, int(till)) for name, till in _pairs(flat)]

    def cleared(self, destination: str, suspect: Suspect) -> bool:
        """It was read back and shows what was delivered, or was sent again; False where it is suspected anew."""
        control: Control = {"destination": destination, "name": suspect.name, "till": suspect.till_ms}
        return bool(self._run("unsuspect", control))

    def clear_marks(self, destination: str, most: int = 20) -> None:
        """Go on with the lanes whose marks of undelivered requests a delivery couldn't all look at; by 100 marks, so
        often at most."""
        for _ in range(most):
            if not self._run("marks", {"destination": destination}):
                return

    def look_through(self, destination: str, lanes: Sequence[str]) -> None:
        """Have the marks of these lanes looked through, where they have any."""
        summaries = zip(lanes, self.lane_summaries(destination, lanes), strict=True)
        waiting = {lane: "" for lane, stands in summaries if stands.failing}
        if waiting:
            with store_errors():
                self.client.hset(self.keys.marks(destination), mapping=waiting)

    def trim(self, *, seconds: float = float("inf")) -> int:
        """Remove final records older than the history is kept; for so long at most, and the rest next time."""
        return self._for(seconds, "trim", {}, TRIM_CHUNK)

    def audit(self) -> list[str]:
        """Check the invariant for every open record, mend what breaks it; the ids that were mended."""
        mended: list[str] = []
        cursor = "0"
        while True:
            cursor, some = self.audit_chunk(cursor)
            mended += some
            if cursor == "0":
                return mended

    def audit_chunk(self, cursor: str) -> tuple[str, list[str]]:
        """Some dozens of records from `cursor` on ("0": from the start); where to go on, and what was mended."""
        control: Control = {"cursor": cursor, "limit": AUDIT_CHUNK, "destinations": self.destination_names()}
        following, _, *ids = self._run("audit", control)
        return following.decode(), [i.decode() for i in ids]

    def _for(self, seconds: float, script: str, control: Control, limit: int) -> int:
        until = time.monotonic() + seconds
        done = 0
        for count in self._chunks(script, control, limit):
            done += count
            if time.monotonic() >= until:
                break
        return done

    def _chunks(self, script: str, control: Control, limit: int) -> Iterator[int]:
        while True:
            count = int(self._run(script, {**control, "limit": limit}))
            yield count
            if count < limit:
                return

    # Operators ------------------------------------------------------------------------------------

    def act(self, request_id: str, verb: str, actor: str) -> tuple[str, str]:
        """An operator's "retry" or "discard"; the script's word and what it says about it."""
        word, *rest = self._run("act", {"id": request_id, "verb": verb, "actor": actor})
        return word.decode(), rest[0].decode() if rest else ""

    def hold(self, destination: str, lane: str, actor: str, *, release: bool = False) -> bool:
        """Hold a lane's requests back, or release them; whether that changed anything."""
        verb = "release" if release else "hold"
        control: Control = {"destination": destination, "lane": lane, "verb": verb, "actor": actor}
        return bool(self._run("hold", control))

    def lane_summaries(self, destination: str, lanes: Sequence[str]) -> list[LaneSummary]:
        """How each lane stands; at most some hundreds of lanes in a call."""
        if not lanes:
            return []
        answer = self._run("lanes", {"destination": destination, "lanes": list(lanes)})
        return [
            LaneSummary(
                behind=Mark.WAITING in kinds or Mark.LIVE in kinds,
                failing=Mark.FAILED in kinds or Mark.UNDELIVERED in kinds,
                held=Mark.HELD in kinds,
            )
            for kinds in (found.decode() for found in answer)
        ]
