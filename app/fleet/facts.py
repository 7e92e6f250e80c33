"""Reads what `why` looks at: a lane's requests and what bears on them; a bounded number of each."""

from __future__ import annotations

from typing import Final

from app.fleet.causes import Around, Cause
from app.fleet.situations import ahead_of, of_media, of_request
from app.outgoing.holds import Holds
from app.outgoing.lanes import Mark, Marks, marks
from app.outgoing.model import AVOS
from app.outgoing.records import OutgoingRecord
from app.outgoing.service import RequestService
from app.outgoing.status import DestinationStatus
from app.outgoing.store import OutgoingStore
from app.platform.keys import fold
from app.watch.canaries import Canaries

_OF_EACH_KIND: Final = 5  # requests of a lane that are looked at
_QUEUES: Final = ("pending", "live")  # through which requests go


class Facts:
    """What one answer looks at; what is the same for all of it is read once."""

    def __init__(
        self, store: OutgoingStore, requests: RequestService, canaries: Canaries, retry_interval_s: float
    ) -> None:
        self._store = store
        self._requests = requests
        self._canaries = canaries
        self._retry_s = retry_interval_s
        self._holds = Holds(store.client, store.keys)
        self._destinations: dict[str, DestinationStatus] = {}
        self._stalled: tuple[str, ...] | None = None

    def of_request(self, record: OutgoingRecord) -> Cause:
        """Why a request is in its state."""
        lane = self._marks(record.destination, record.lane)
        other = ahead_of(record.id, lane)
        ahead = self._requests.records.get(other) if other else None
        return of_request(record, self._around(record.destination, record.lane, lane), ahead)

    def of_media(self, content_media_id: str) -> list[Cause]:
        """Why a content media isn't in step; empty where nothing of it waits, has failed or ended undelivered."""
        name = fold(content_media_id)
        lane = self._marks(AVOS, name)
        wanted = [
            request_id
            for kind in (Mark.UNDELIVERED, Mark.FAILED, Mark.LIVE, Mark.WAITING)
            for _, request_id in lane[kind]
        ]
        others = {request_id: ahead_of(request_id, lane) for request_id in wanted}
        ids = dict.fromkeys([*wanted, *(other for other in others.values() if other)])
        records = {record.id: record for record in self._requests.records.get_many(list(ids))}
        pairs = [(records[i], records.get(others[i] or "")) for i in wanted if i in records]
        return of_media(pairs, self._around(AVOS, name, lane))

    def of_destination(self, name: str) -> Around | None:
        """What bears on all that goes to a destination; None for one that there isn't."""
        return self._around(name, "", None) if self._requests.has_destination(name) else None

    def _marks(self, destination: str, lane: str) -> Marks:
        return marks(self._store.client, self._store.keys, destination, lane, _OF_EACH_KIND)

    def _around(self, destination: str, lane: str, found: Marks | None) -> Around:
        if destination not in self._destinations:
            self._destinations[destination] = self._requests.destination(destination)
        limits = self._store.destinations.of(destination)
        return Around(
            destination=self._destinations[destination],
            lane=lane,
            hold=self._holds.of(lane) if lane else None,
            suspect=bool(found and found[Mark.SUSPECT]),
            stalled=self._without_workers(),
            retry_s=self._retry_s,
            max_age=limits.max_age,
            grace=limits.grace,
        )

    def _without_workers(self) -> tuple[str, ...]:
        if self._stalled is None:
            queues = self._canaries.report().queues
            self._stalled = tuple(
                name
                for name in _QUEUES
                if queues[name].stalled and len(queues[name].silent) == len(queues[name].workers)
            )
        return self._stalled
