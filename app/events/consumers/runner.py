"""What a worker does with one wake-up: claim the consumer, deliver for at most a slice of time, let it go."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.events.consumers.acknowledgement import Ack, CallReport, Stop
from app.events.consumers.claims import ConsumerClaims
from app.events.consumers.decision import decide_consumer
from app.events.consumers.health import of_claimed
from app.events.consumers.leases import LeaseRenewer
from app.events.consumers.model import Claimed, ReadLimits
from app.events.consumers.ordered import Ordered
from app.events.consumers.turn import DeliveryPolicy, Turn
from app.events.consumers.unordered import Unordered
from app.events.sinks.base import Kind, Sink, SinkError, SinkFactory
from app.platform import log
from app.platform.encryption import Unreadable
from app.platform.errors import InvalidInput, MediaopsError, Unavailable

KEPT_SINKS: Final = 1000  # with their open connections
_FIRST_LIMIT: Final = 50  # events read before the sink and its limits are known
_FIRST_BYTES: Final = 2 * 1024 * 1024
_BROKEN_MS: Final = 5_000  # until a consumer on which our own code failed is tried again
_log = log.get_logger()


class SinkCache:
    """Sinks by subscription, so that connections outlive a wake-up. A new revision replaces the one
    before."""

    def __init__(self, sinks: SinkFactory, opened: Callable[[bytes], Mapping[str, Any]]) -> None:
        self._sinks = sinks
        self._opened = opened
        self._kept: OrderedDict[str, tuple[int, Sink]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, owner: str) -> tuple[int, Sink] | None:
        with self._lock:
            return self._kept.get(owner)

    def of(self, claimed: Claimed, known: tuple[int, Sink] | None) -> Sink:
        """The sink of a claimed consumer. Raises InvalidInput where its target isn't allowed any more,
        Unreadable."""
        if claimed.config is None:
            if known is None:
                raise RuntimeError("a consumer came without its configuration")
            return known[1]
        public, secrets = claimed.config
        sink = self._sinks.build(public, self._opened(secrets), ordered=claimed.ordered)
        with self._lock:
            before = self._kept.pop(claimed.owner, None)
            self._kept[claimed.owner] = (claimed.revision, sink)
            dropped = [] if before is None else [before]
            while len(self._kept) > KEPT_SINKS:
                dropped.append(self._kept.popitem(last=False)[1])
        for _, old in dropped:
            old.close()
        return sink


class Runner:
    """`run` is the whole of task `deliveries.deliver`."""

    def __init__(
        self,
        claims: ConsumerClaims,
        sinks: SinkFactory,
        policy: DeliveryPolicy | None = None,
        leases: LeaseRenewer | None = None,
    ) -> None:
        self._claims = claims
        self._cache = SinkCache(sinks, claims.opened)
        self._policy = policy or DeliveryPolicy()
        self._leases = leases or LeaseRenewer(claims)

    def run(self, consumer_id: str) -> str:
        """How it ended, in a word: "nothing" (there was nothing to do, or another worker has it),
        listening, awake (there is more), resting, stopped, done or lost. Raises Unavailable while the store
        is away."""
        known = self._cache.known(consumer_id.partition(".replay.")[0])
        began = self._policy.clock()
        claimed = self._claims.claim(consumer_id, known[0] if known else 0, _first(known))
        if claimed is None:
            return "nothing"
        with self._leases.renewing(claimed.id, claimed.token, began) as lease:
            try:
                sink = self._cache.of(claimed, known)
            except (InvalidInput, Unreadable) as error:
                return self._misconfigured(claimed, error)
            return self._deliver(Turn(self._claims, claimed, sink, lease, self._policy, began))

    def _deliver(self, turn: Turn) -> str:
        try:
            return (Ordered(turn) if turn.claimed.ordered else Unordered(turn)).run()
        except Unavailable:
            raise  # the lease ends by itself
        except Exception:
            # A fault of ours. The lease would end by itself too; so others neither wait for that nor try at
            # once.
            _log.error("delivery broke off", consumer=turn.claimed.id)
            turn.acknowledge(stop=Stop(rest_ms=_BROKEN_MS))
            raise

    def _misconfigured(self, claimed: Claimed, error: MediaopsError) -> str:
        """A setting has changed since the subscription was made: it fails until one of them is corrected."""
        decision = decide_consumer(
            SinkError("misconfigured", error.detail, Kind.RETRY),
            claimed.failures + 1,
            of_claimed(claimed).failing_s(claimed.at_ms),
            self._policy.disable_after_s,
            self._policy.rand,
        )
        calls = CallReport(failure=("misconfigured", error.detail), failed_calls=1)
        ack = Ack(calls, stop=Stop(int(decision.wait_s * 1000), decision.code or None))
        return self._claims.ack(claimed, 1, ack).word


def _first(known: tuple[int, Sink] | None) -> ReadLimits:
    if known is None:
        return ReadLimits(_FIRST_LIMIT, _FIRST_BYTES, _FIRST_LIMIT)
    events = known[1].limits.events
    return ReadLimits(max(_FIRST_LIMIT, events), _FIRST_BYTES, max(_FIRST_LIMIT, events))
