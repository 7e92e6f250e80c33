"""Renews the leases of this process's consumers while it lives: one thread, one script every other second
for all of them.

So a lease can be short: the consumers of a worker that was killed go on elsewhere within seconds, though a
call may take much longer than a lease.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from app.platform import log
from app.platform.errors import Unavailable

_PART: Final = 0.25  # of a lease, between two renewals
_log = log.get_logger()


class LeaseScripts(Protocol):
    """`claims.ConsumerClaims`."""

    @property
    def lease_s(self) -> float: ...

    def renew(self, leases: Sequence[tuple[str, str]]) -> list[bool]: ...


class ConsumerLease:
    """A lease as this process sees it. A process that was frozen finds that its lease has run out
    meanwhile."""

    def __init__(self, consumer_id: str, token: str, until: float) -> None:
        self.consumer_id = consumer_id
        self.token = token
        self._until = until
        self._lost = False

    @property
    def valid(self) -> bool:
        return not self._lost and time.monotonic() < self._until

    def renewed(self, until: float) -> None:
        self._until = max(self._until, until)

    def lose(self) -> None:
        self._lost = True


class LeaseRenewer:
    """`renewing` a consumer's lease while a worker has it. The thread begins with the first."""

    def __init__(self, claims: LeaseScripts) -> None:
        self._claims = claims
        self._leases: dict[str, ConsumerLease] = {}
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def renewing(self, consumer_id: str, token: str, since: float) -> Iterator[ConsumerLease]:
        """`since`: monotonic time before the claim."""
        lease = ConsumerLease(consumer_id, token, since + self._claims.lease_s)
        with self._lock:
            self._leases[token] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="consumer-leases", daemon=True)
                self._thread.start()
        self._some.set()
        try:
            yield lease
        finally:
            with self._lock:
                del self._leases[token]
                if not self._leases:
                    self._some.clear()

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(self._claims.lease_s * _PART)
            self.renew()

    def renew(self, clock: Callable[[], float] = time.monotonic) -> None:
        """One round."""
        with self._lock:
            leases = list(self._leases.values())
        if not leases:
            return
        began = clock()
        try:
            mine = self._claims.renew([(one.consumer_id, one.token) for one in leases])
        except Unavailable as error:
            _log.warning("leases not renewed", consumers=len(leases), error=error.detail)
            return
        for one, still in zip(leases, mine, strict=True):
            if still:
                one.renewed(began + self._claims.lease_s)
            else:
                one.lose()
