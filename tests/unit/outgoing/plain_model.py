"""What the scripts promise, in dicts and lists: every question is answered by looking at all requests, none by an index.

Times are whole seconds. `docs/data-model.md` is what it follows; it shares no code with `app`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OPEN = ("pending", "live", "failed")
HOUR = 3600
SOON = 2 * HOUR
LONGEST_REST = 300
NEAR_REST = 10
LONGEST_DISTANCE = 10  # of two probes


@dataclass
class Request:
    """One request. `versions` of a PATCH's members live in the model; `sort` breaks ties as the store does."""

    id: str
    seq: int
    lane: str
    path: str
    method: str
    members: dict[str, Any]
    urgency: int
    created: int
    deadline: int | None
    state: str = "pending"
    token: str | None = None
    lease_until: int = 0
    sending: bool = False
    reclaims: int = 0
    age_from: int | None = None
    claimed: int = 0
    next_try: int = 0
    due: bool = False
    called_back: bool = False  # its turn came while the lane was busy
    expiry: float | None = None
    behind_deadline: int | None = None
    waived: bool = False
    undelivered: bool = False
    ended: int = 0

    @property
    def barrier(self) -> bool:
        return self.method != "PATCH"


@dataclass
class Model:
    """All of it. `now` is moved by the test."""

    in_flight: int
    lease: int
    max_age: int
    keep: int
    max_reclaims: int
    threshold: int
    release_rate: int
    now: int = 0
    requests: dict[str, Request] = field(default_factory=dict)
    versions: dict[tuple[str, str], tuple[int, str, Any]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    faults: dict[str, tuple[int, str]] = field(default_factory=dict)  # lane → when, and which signal
    excused: dict[str, int] = field(default_factory=dict)
    opened: int | None = None
    next_probe: int = 0
    probes: int = 0
    probed_at: int | None = None
    all_asked: bool = False
    to_sweep: bool = False
    again: dict[str, int] = field(default_factory=dict)
    recovering: int | None = None
    released: int = 0
    recovered_to: tuple[int, int] = (0, 0)  # of which recovery, and up to which request it is over
    rest_until: int = 0
    rest_from: int | None = None
    seq: int = 0

    # Looking ----------------------------------------------------------------------------------------------------------

    def of(self, lane: str, *states: str) -> list[Request]:
        return [one for one in self.requests.values() if one.lane == lane and one.state in states]

    def own(self, one: Request) -> dict[str, Any]:
        return {
            name: value for name, value in one.members.items() if self.versions[one.path, name][0] <= one.seq
        }

    def covered(self, one: Request) -> bool:
        return not one.barrier and not self.own(one)

    def barrier_of(self, lane: str) -> int | None:
        return min((one.seq for one in self.of(lane, *OPEN) if one.barrier), default=None)

    def head(self, lane: str) -> Request | None:
        """Which waiting request of a lane may run."""
        waiting = self.of(lane, "pending")
        if lane in self.held or self.of(lane, "live") or not waiting:
            return None
        first = min(waiting, key=lambda one: one.seq)
        barrier = self.barrier_of(lane)
        if barrier is not None and barrier < first.seq:
            return None
        if first.barrier and any(one.seq < first.seq for one in self.of(lane, "failed")):
            return None
        return first

    def heads(self) -> dict[str, int]:
        """The runnable heads, each as urgent as the most urgent that waits in its lane."""
        found = {}
        for lane in {one.lane for one in self.requests.values()}:
            first = self.head(lane)
            if first is not None:
                found[first.id] = min(one.urgency for one in self.of(lane, "pending"))
        return found

    def may_retry(self, one: Request) -> bool:
        if one.lane in self.held or self.of(one.lane, "live"):
            return False
        barrier = self.barrier_of(one.lane)
        if not one.barrier:
            return barrier is None or barrier > one.seq
        older = [other for other in self.of(one.lane, "failed", "pending") if other.seq < one.seq]
        return not older

    def in_state(self, state: str) -> list[Request]:
        return [one for one in self.requests.values() if one.state == state]

    def due(self) -> list[Request]:
        return sorted((one for one in self.in_state("failed") if one.due), key=lambda o: (o.urgency, o.id))

    def deadline_of(self, one: Request) -> int | None:
        return None if one.waived else one.deadline

    def expires_at(self, one: Request) -> float:
        by_age = (self.now if one.age_from is None else one.age_from) + self.max_age
        deadline = self.deadline_of(one)
        return by_age if deadline is None else min(by_age, deadline)

    # Changing ---------------------------------------------------------------------------------------------------------

    def _free(self, lane: str) -> None:
        """Something changed in a lane: those whose turn had come while it was busy are due again if it isn't."""
        if lane in self.held or self.of(lane, "live"):
            return
        for one in self.of(lane, "failed"):
            if one.called_back:
                one.called_back, one.due = False, True

    def _leave(self, one: Request) -> None:
        one.due = one.called_back = one.undelivered = False
        one.token, one.sending = None, False

    def _end(self, one: Request, state: str, *, undelivered: bool = False) -> None:
        self._leave(one)
        one.state, one.ended, one.undelivered, one.expiry = state, self.now, undelivered, None
        one.behind_deadline = None if self.deadline_of(one) is not None else one.behind_deadline

    def _wait(self, one: Request) -> None:
        self._leave(one)
        one.state = "pending"

    def _fail(self, one: Request, next_try: int) -> None:
        self._leave(one)
        one.state, one.next_try = "failed", next_try
        one.age_from = self.now if one.age_from is None else one.age_from
        one.expiry = self.expires_at(one)

    def accept(self, one: Request, *, forced: bool) -> bool:
        """Whether it was queued."""
        if not forced and not one.barrier and self._changes_nothing(one):
            return False
        self.seq += 1
        one.seq = self.seq
        self.requests[one.id] = one
        one.behind_deadline = one.deadline
        for name, value in one.members.items():
            self.versions[one.path, name] = (one.seq, one.id, value)
        for older in self.of(one.lane, "pending", "failed"):
            if older.path == one.path and older.id != one.id and self.covered(older):
                self._end(older, "superseded")
        self._free(one.lane)
        return True

    def _changes_nothing(self, one: Request) -> bool:
        for name, value in one.members.items():
            newest = self.versions.get((one.path, name))
            if newest is None or newest[2] != value:
                return False
            owner = self.requests.get(newest[1])
            if owner is None or owner.state in ("rejected", "expired", "discarded", "superseded"):
                return False
        return True

    def _go_live(self, one: Request) -> str:
        self._leave(one)
        one.state, one.lease_until = "live", self.now + self.lease
        return one.id

    def _consider_retry(self, one: Request) -> str | None:
        if not self.may_retry(one):
            one.due, one.called_back, one.next_try = False, True, self.now
            return None
        if self.covered(one):
            self._end(one, "superseded")
            self._free(one.lane)
            return None
        return self._go_live(one)

    def promote(self) -> list[str]:
        """Who goes live, in this order."""
        gone = self._promote_once()
        if self.to_sweep and not self._silent():
            self.to_sweep = False
            self.sweep()
            gone += self._promote_once()
        return gone

    def _resting(self) -> bool:
        return 0 < self.rest_until - self.now <= LONGEST_REST

    def _silent(self) -> bool:
        """The far side rests, and it is too early for what kicks off soon as well."""
        since = self.rest_until if self.rest_from is None else self.rest_from
        return self._resting() and self.now < since + NEAR_REST

    def _promote_once(self) -> list[str]:
        if self._silent():
            return []
        if self.recovering is not None and self.recovering > self.now:
            self.recovering, self.released = self.now, 0
        live = len(self.in_state("live"))
        room = min(self.in_flight, 1) - live if self._resting() else self.in_flight - live
        if self.opened is not None:
            return self._probe(room)
        may_release = float("inf")
        if self.recovering is not None:
            may_release = (self.now - self.recovering + 1) * self.release_rate - self.released
        self._try_again()
        gone: list[str] = []
        looked = 0
        while len(gone) < room and looked < 2 * self.in_flight:
            looked += 1
            first, retry = self._next(may_release > 0)
            if first is None:
                break
            if not retry:
                gone.append(self._go_live(first))
                continue
            went = self._consider_retry(first)
            if went is not None:
                gone.append(went)
                if self.recovering is not None:
                    self.released += 1
                    may_release -= 1
        return gone

    def _try_again(self) -> None:
        """What failed for the first time a second ago."""
        for name, at in list(self.again.items()):
            if at <= self.now:
                del self.again[name]
                one = self.requests.get(name)
                if one is not None and one.state == "failed" and one.next_try <= self.now:
                    one.due = True

    def _next(self, may_release: bool) -> tuple[Request | None, bool]:
        """What kicks off soon, then first tries, then retries."""
        soon = self.now + SOON
        heads = self._waiting()
        first = heads[0] if heads else None
        retry = next(iter(self.due()), None) if may_release else None
        if self._resting():
            first = first if first is not None and self.heads()[first.id] <= soon else None
            retry = retry if retry is not None and retry.urgency <= soon else None
        if first is None or retry is None:
            return first or retry, first is None
        sooner = retry.urgency <= soon and retry.urgency < self.heads()[first.id]
        return (retry, True) if sooner else (first, False)

    def _waiting(self) -> list[Request]:
        return [
            self.requests[name]
            for _, name in sorted((urgency, name) for name, urgency in self.heads().items())
        ]

    def _late(self, until: float = float("inf")) -> list[Request]:
        late = [one for one in self.in_state("failed") if not one.due and one.next_try <= until]
        return sorted(late, key=lambda one: (one.next_try, one.id))

    def _probe(self, room: int) -> list[str]:
        """One of those that wait, and one of those that failed."""
        if 0 < self.next_probe - self.now <= LONGEST_DISTANCE:
            if not self.all_asked or (self.probed_at or 0) + 1 > self.now or room < 1:
                return []
            sent, more = self._send_one(self._waiting(), retry=False, fresh=True)
            if sent:
                self.probed_at, self.all_asked = self.now, not more
            return sent
        sent, more = self._send_one(self._waiting(), retry=False) if room > 0 else ([], False)
        if room > len(sent):
            again, _ = self._send_one(self.due(), retry=True)
            if not again:
                again, _ = self._send_one(self._late(self.now), retry=True)
            if not again and not sent:  # the clock was set back
                long = [one for one in self._late() if one.next_try > self.now + LONGEST_REST]
                again, _ = self._send_one(long, retry=True)
            sent += again
        if sent:
            self.probes += 1
            self.probed_at, self.all_asked = self.now, not more
            self.next_probe = self.now + min(2**self.probes, LONGEST_DISTANCE)
        return sent

    def _last_fault(self, lane: str) -> int:
        return max(self.faults.get(lane, (0, ""))[0], self.excused.get(lane, 0))

    def _send_one(self, some: list[Request], *, retry: bool, fresh: bool = False) -> tuple[list[str], bool]:
        """Of the lane whose last fault is longest ago; and whether another lane without any is left."""
        known = [
            (self._last_fault(one.lane), one)
            for one in some
            if not self._resting() or one.urgency <= self.now + SOON
        ]
        known.sort(key=lambda pair: pair[0])
        for place, (at, one) in enumerate(known):
            if fresh and at > 0:
                break
            went = self._consider_retry(one) if retry else self._go_live(one)
            if went is not None:
                return [went], place + 1 < len(known) and known[place + 1][0] == 0
        return [], False

    def claim(self, name: str, token: str) -> bool:
        one = self.requests.get(name)
        if one is None or one.state != "live" or one.token is not None:
            return False
        one.token, one.lease_until, one.claimed = token, self.now + self.lease, self.now
        return True

    def begin(self, name: str, token: str) -> dict[str, Any] | None:
        """What may be sent now."""
        one = self._held_by(name, token)
        if one is None or one.lease_until <= self.now:
            return None
        if one.age_from is not None and self.now >= self.expires_at(one):
            self._end(one, "expired", undelivered=True)
        elif self.covered(one):
            self._end(one, "superseded")
        else:
            one.sending, one.lease_until = True, self.now + self.lease
            return self.own(one)
        self._free(one.lane)
        return None

    def _held_by(self, name: str, token: str) -> Request | None:
        one = self.requests.get(name)
        return one if one is not None and one.state == "live" and one.token == token else None

    def finish(self, name: str, token: str, how: str, next_try: int, again: int | None) -> bool:
        """`how`: delivered, rejected, failed or expired. `again`: it is tried once more so many seconds later."""
        one = self._held_by(name, token)
        if one is None:
            return False
        one.reclaims = 0
        if how == "delivered":
            self._end(one, "delivered")
            for older in [other for other in self.requests.values() if other.undelivered]:
                if older.path == one.path and older.seq < one.seq and self.covered(older):
                    self._end(older, "superseded")
        elif how == "rejected":
            self._end(one, "rejected", undelivered=True)
        elif self.covered(one):
            self._end(one, "superseded")
        elif how == "expired":
            self._end(one, "expired", undelivered=True)
        else:
            self._fail(one, max(self.now, next_try))
            if again is not None and self.opened is None:
                self.again[name] = self.now + again
        self._free(one.lane)
        return True

    def hear(self, name: str, token: str, signal: str, rest: int) -> None:
        """What an attempt says about the destination, before it is finished."""
        one = self._held_by(name, token)
        if one is None:
            return
        if rest > 0:
            self.rest_until, self.rest_from = max(self.rest_until, self.now + rest), self.now
        if signal == "good":
            self._served(one.lane)
            return
        if signal in ("doubt", "refused") and one.lane in self.excused:
            self.excused[one.lane] = self.now
            return
        self.faults[one.lane] = (self.now, signal)
        refusals = [lane for lane, (_, how) in self.faults.items() if how == "refused"]
        enough = len(self.faults) >= self.threshold or (signal == "refused" and len(refusals) >= 2)
        if (signal == "fatal" or enough) and self.opened is None:
            self.opened, self.next_probe, self.probes = self.now, self.now + 1, 0
            self.recovering, self.released, self.to_sweep = None, 0, False
            self.again.clear()

    def _served(self, lane: str) -> None:
        for other, (_, how) in self.faults.items():
            if other != lane and how in ("doubt", "refused"):
                self.excused[other] = self.now
        self.faults.clear()
        if not self.of(lane, "failed"):
            self.excused.pop(lane, None)
        if self.opened is not None:
            self.opened, self.probed_at, self.all_asked = None, None, False
            self.recovering, self.released, self.to_sweep = self.now, 0, True

    def reclaim(self) -> None:
        for one in self.in_state("live"):
            one.lease_until = min(one.lease_until, self.now + self.lease)
        late = [one for one in self.in_state("live") if one.lease_until <= self.now]
        for one in sorted(late, key=lambda one: (one.lease_until, one.id)):
            one.reclaims += one.token is not None
            if self.covered(one):
                self._end(one, "superseded")
            elif one.token is not None and one.sending and one.method == "POST":
                self._end(one, "rejected", undelivered=True)
            elif one.reclaims > self.max_reclaims:
                self._fail(one, self.now)
            else:
                self._wait(one)
            self._free(one.lane)

    def sweep(self) -> None:
        if self.opened is not None:
            return
        for one in self.in_state("failed"):
            one.due = one.due or self._may_be_due(one)
        if self.recovering is not None and self._all_released(self.recovering):
            self.recovering, self.released = None, 0

    def _all_released(self, since: int) -> bool:
        """Whether all that had failed when the breaker closed has had its turn; in their order, and none is asked twice."""
        if self.recovered_to[0] != since:
            self.recovered_to = (since, 0)
        for one in sorted(self.in_state("failed"), key=lambda one: one.seq):
            if one.seq > self.recovered_to[1]:
                if one.claimed < since and not one.called_back:
                    return False
                self.recovered_to = (since, one.seq)
        return True

    def _may_be_due(self, one: Request) -> bool:
        """Its time has come, or the clock was set back since it failed."""
        return one.next_try <= self.now or max(one.claimed, one.age_from or 0) > self.now

    def expire(self) -> None:
        for one in list(self.requests.values()):
            if one.expiry is None or one.expiry > self.now:
                continue
            if one.state == "live":
                one.expiry = self.now + 1
            else:
                self._give_up(one)
        if self.opened is None:
            return
        for one in list(self.requests.values()):
            if one.behind_deadline is None or one.behind_deadline > self.now:
                continue
            if one.state == "pending":
                self._give_up(one)
            else:
                one.behind_deadline = self.now + 1 if one.state == "live" else None
        if self.opened + self.max_age <= self.now:
            for one in sorted(self.in_state("pending"), key=lambda one: one.seq):
                if one.created + self.max_age > self.now:
                    break
                self._give_up(one)

    def _give_up(self, one: Request) -> None:
        self._end(one, "expired", undelivered=True)
        self._free(one.lane)

    def act(self, name: str, verb: str) -> bool:
        """Whether an operator's word changed anything."""
        one = self.requests.get(name)
        if one is None:
            return False
        if verb == "discard":
            if one.state not in ("pending", "failed", "rejected", "expired"):
                return False
            self._end(one, "discarded", undelivered=not one.barrier and bool(self.own(one)))
        else:
            if one.state not in ("failed", "rejected", "expired", "discarded") or self.covered(one):
                return False
            self._wait(one)
            one.waived, one.age_from, one.expiry, one.reclaims = True, None, None, 0
            one.behind_deadline = None
        self._free(one.lane)
        return True

    def hold(self, lane: str, *, release: bool) -> bool:
        if (lane in self.held) != release:
            return False
        (self.held.discard if release else self.held.add)(lane)
        self._free(lane)
        return True

    def trim(self) -> None:
        for one in list(self.requests.values()):
            if one.state not in OPEN and one.ended + self.keep <= self.now:
                del self.requests[one.id]
