"""An outgoing store for tests: a clock that the test moves, messages that the test can read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from app.avos.sync import registration_guards
from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.destinations import Destination, Destinations
from app.outgoing.model import ABSENT, AVOS, Acceptance, Claim, NewRequest
from app.outgoing.presentation import shown_request
from app.outgoing.records import RecordReader
from app.outgoing.scripts import History, OutgoingScripts
from app.outgoing.store import OutgoingStore
from tests.support.consumers import MESSAGES
from tests.support.keys import AllKeys
from tests.support.published import fitting

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


# They only say what they are about.
PLAIN_MESSAGES: Final = {
    **{name: f"{name} @@ARG@@ @@ID1@@" for name in ("promote", "patch", "send")},
    **MESSAGES,
}


@dataclass
class Bench:
    """A store, its clock, and short ways to say what tests say often."""

    client: Any  # a Redis that answers with bytes
    keys: AllKeys
    avos: Destination = field(default_factory=lambda: Destination(AVOS))
    others: tuple[Destination, ...] = ()
    history: History = field(default_factory=History)
    flags: bool = True
    scripts: OutgoingScripts | None = None
    now: datetime = START

    def __post_init__(self) -> None:
        self.store = OutgoingStore(
            self.client,
            self.keys,
            self.scripts or OutgoingScripts(**self.given()),
            now_ms=lambda: int(self.now.timestamp() * 1000),
        )
        self.records = RecordReader(self.store.client, self.keys)
        self._names = itertools.count(1)

    def limit(self, **limits: Any) -> None:
        """The same store with other limits for AVOS."""
        self.avos = replace(self.avos, **limits)
        self.__post_init__()

    def given(self) -> dict[str, Any]:
        """What the scripts are made of."""
        return {
            "destinations": Destinations(self.avos, *self.others),
            "history": self.history,
            "flags": self.flags,
            "messages": PLAIN_MESSAGES,
        }

    def pass_time(self, **span: float) -> None:
        self.now += timedelta(**span)

    def patch(self, media: str = "CM1", /, *, path: str | None = None, **options: Any) -> NewRequest:
        """A PATCH of members, by default all forced; `absent` names members without a value, `generation` the registration
        that it is made for."""
        members = dict(options.pop("members", {"a": 1}))
        members |= dict.fromkeys(options.pop("absent", ()), ABSENT)
        options.setdefault("forced", True)
        if generation := options.pop("generation", 0):
            options["guards"] = registration_guards(media, generation)
        return NewRequest(
            destination=AVOS,
            lane=media.casefold(),
            kind="booking",
            method="PATCH",
            path=path or f"/external/contentMedia/live/{media}",
            members=members,
            content_media_id=media,
            **options,
        )

    def barrier(self, media: str = "CM1", /, method: str = "POST", **options: Any) -> NewRequest:
        return NewRequest(
            destination=AVOS,
            lane=media.casefold(),
            kind="generic",
            method=method,
            path=f"/external/contentMedia/live/{media}",
            body=b'{"x":[]}',
            content_media_id=media,
            **options,
        )

    def accept(self, *requests: NewRequest, **more: Any) -> list[str]:
        return list(self.store.accept(Acceptance(requests=requests, **more)).request_ids)

    def take(self) -> list[str]:
        """Promote, and return the ids of the live messages that were pushed, oldest first."""
        self.store.promote(AVOS)
        queue = self.store.keys.prefix + "live"
        messages = self.client.lrange(queue, 0, -1)
        self.client.delete(queue)
        return [message.decode().split()[1] for message in reversed(messages)]

    def claim(self, request_id: str) -> Claim:
        claim = self.store.claim(request_id)
        assert claim is not None, f"{request_id} could not be claimed: {self.state(request_id)}"
        return claim

    def send(self, request_id: str, error: AttemptError | None = None) -> dict[str, Any] | None:
        """Claim, begin and finish; what would have been sent, or None when nothing could be."""
        claim = self.claim(request_id)
        sending = self.store.begin(claim, "lm")
        if sending is None:
            return None
        assert self.store.finish(claim, AttemptResult({"at": "now", "outcome": "x"}, error))
        return {name: value.decode() for name, value in sending.members}

    def run(self, error: AttemptError | None = None) -> dict[str, Any] | None:
        """Promote what must be exactly one request, and send it."""
        [request_id] = self.take()
        return self.send(request_id, error)

    def fail(self, request_id: str, **options: Any) -> None:
        self.send(request_id, AttemptError("timeout", "The far side did not answer in time.", **options))

    def tick(self) -> None:
        """What the 10-second tick does before it promotes."""
        self.store.expire(AVOS)
        self.store.sweep(AVOS)

    def record(self, request_id: str) -> dict[str, Any]:
        record = self.records.get(request_id)
        assert record is not None
        return shown_request(record)

    def state(self, request_id: str) -> str:
        return str(self.record(request_id)["state"])

    def happenings(self) -> list[str]:
        """What the log tells, each in the form of its family."""
        rows = self.client.xrange(self.keys.log("sync-operations"))
        return [fitting("sync-operations", fields[b"event"]) for _, fields in rows]
