"""What people and programs can see and do about subscriptions. `actor`: the name of the token that asked."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from app.events.consumers.model import ConsumerStatus, Parked, ReplayProgress
from app.events.consumers.store import ConsumerStore
from app.events.log import EventLog
from app.events.sinks import signatures
from app.events.sinks.factory import Sinks
from app.events.subscriptions.model import (
    LoggedDelivery,
    MadeSubscription,
    Reencryption,
    RotatedSecret,
    SinkTest,
    Subscription,
    SubscriptionView,
    from_body,
    spec,
    start_text,
)
from app.events.subscriptions.sink_config import divided, with_values, without_query
from app.events.subscriptions.store import Listed, SubscriptionStore, cursor_of, entry_of, place_of
from app.platform.audit import AuditTrail
from app.platform.clock import to_ms
from app.platform.cursors import Page, decode_number, encode_number, encode_text
from app.platform.encryption import Unreadable
from app.platform.errors import Conflict, NotFound, Unprocessable
from app.platform.etags import check_if_match
from app.platform.turns import in_turns

MAX_SUBSCRIPTIONS: Final = 1_000
# Ours, so that an id in an address can't reach into another key.
_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
_REPLAY: Final = re.compile(r"[0-9a-f]{1,32}\Z")
_CHUNK: Final = 100  # subscriptions whose state is read in one go


class SubscriptionService:
    """The use cases. What they change is one script each: of the consumer, with the subscription's own
    record in it."""

    def __init__(
        self,
        store: SubscriptionStore,
        consumers: ConsumerStore,
        log: EventLog,
        sinks: Sinks,
        audit: AuditTrail,
    ) -> None:
        self._store = store
        self._consumers = consumers
        self._log = log
        self._sinks = sinks
        self._audit = audit

    # Making and changing --------------------

    def create(
        self, body: Mapping[str, Any], actor: str, key: tuple[str, str] | None = None
    ) -> MadeSubscription:
        """A new subscription, checked whole before anything is written. `key`: an Idempotency-Key's digest
        and fingerprint; a repeated call is answered the same, but without the secret, which may have been
        rotated since. Raises InvalidInput, Unprocessable, Conflict."""
        digest, fingerprint = key or ("", "")
        subscription_id = uuid.uuid5(uuid.NAMESPACE_OID, digest).hex if digest else uuid.uuid4().hex
        if digest and (before := self._store.get(subscription_id)) is not None:
            return self._repeated(before, fingerprint)
        if self._store.count() >= MAX_SUBSCRIPTIONS:
            raise Conflict(
                f"There are {MAX_SUBSCRIPTIONS} subscriptions already; delete one first.",
                code="too_many_subscriptions",
            )
        now = self._consumers.time_ms()
        public, secrets = divided(body["sink"])
        subscription = from_body(subscription_id, body, public, now, fingerprint)
        self._sinks.check(with_values(public, secrets))
        start = self._start(body["start"], [topic for topic, _ in subscription.topics])
        also = self._store.commands_to_save(subscription)
        try:
            self._consumers.create(spec(subscription, secrets, start), also=also)
        except Conflict:  # the same call twice at once: the other one has made it
            made = self._store.get(subscription_id)
            if made is None:
                raise
            return self._repeated(made, fingerprint)
        self._audit.write_down(actor, "create subscription", subscription_id)
        return MadeSubscription(self.get(subscription_id), _current(secrets))

    def replace(
        self, subscription_id: str, body: Mapping[str, Any], actor: str, if_match: str | None
    ) -> MadeSubscription:
        """Put another configuration in the place of the one before. It goes on where it was; `start` is for
        topics that it didn't have. Raises InvalidInput, NotFound, PreconditionFailed, Conflict."""
        with self._changing(subscription_id):
            before = self._known(subscription_id, if_match)
            sink, known = self._consumers.config(subscription_id)
            public, secrets = divided(body["sink"], sink, known)
            now = self._consumers.time_ms()
            after = replace(
                from_body(subscription_id, body, public, now, before.fingerprint),
                revision=before.revision + 1,
                created_ms=before.created_ms,
                start=before.start,
                rotation=before.rotation,
            )
            self._sinks.check(with_values(public, secrets))
            had = {topic for topic, _ in before.topics}
            start = self._start(body["start"], [topic for topic, _ in after.topics if topic not in had])
            self._consumers.update(spec(after, secrets, start), also=self._store.commands_to_save(after))
        self._audit.write_down(actor, "change subscription", subscription_id)
        fresh = bool(secrets) and not known.get("signing")
        return MadeSubscription(self.get(subscription_id), _current(secrets) if fresh else None)

    def delete(self, subscription_id: str, actor: str, if_match: str | None = None) -> None:
        """End it: its place, what is parked, its replays and its delivery log go with it."""
        with self._changing(subscription_id):
            self._known(subscription_id, if_match)
            self._consumers.delete(subscription_id, also=self._store.commands_to_forget(subscription_id))
        self._audit.write_down(actor, "delete subscription", subscription_id)

    def rotate(
        self, subscription_id: str, overlap_s: int, actor: str, key: tuple[str, str] | None = None
    ) -> RotatedSecret:
        """A new signing secret; the one before stays valid for `overlap_s`. With an Idempotency-Key a
        repeated call is answered as the first time: else a lost answer would end the secret that the
        receiver has."""
        digest = key[0] if key else ""
        with self._changing(subscription_id):
            before = self._known(subscription_id)
            sink, secrets = self._consumers.config(subscription_id)
            if sink["type"] != "webhook":
                raise Conflict(
                    "Only a webhook has a secret; SNS and Kinesis are called as this process's AWS account.",
                    code="no_secret",
                )
            now = self._consumers.time_ms()
            if not digest or digest != before.rotation:
                rotated = signatures.rotate(secrets.get("signing", ()), now, overlap_s * 1000)
                secrets = {**secrets, "signing": rotated}
                after = replace(before, revision=before.revision + 1, updated_ms=now, rotation=digest)
                self._consumers.update(spec(after, secrets, {}), also=self._store.commands_to_save(after))
                self._audit.write_down(actor, "rotate secret", subscription_id)
        until = [one["until"] for one in secrets["signing"] if one["until"] is not None]
        return RotatedSecret(_current(secrets), max(until, default=now))

    def reencrypt(self, actor: str) -> Reencryption:
        """Store the secrets of all subscriptions under the newest key. Raises Conflict where there is
        none."""
        if not self._consumers.encrypts:
            raise Conflict("Set MEDIAOPS_SECRETS_KEY_FILE first, and start again.", code="no_secrets_key")
        changed, unreadable = 0, list[str]()
        ids = [place.id for place in self._store.listed()]
        for subscription_id in in_turns(ids):
            try:
                changed += self._consumers.reencrypt(subscription_id)
            except NotFound:
                continue  # deleted meanwhile
            except Unreadable:
                unreadable.append(subscription_id)
        self._audit.write_down(actor, "reencrypt secrets", f"{changed} of {len(ids)}")
        return Reencryption(changed, len(ids) - changed - len(unreadable), tuple(unreadable))

    # Looking --------------------

    def get(self, subscription_id: str, *, whole: bool = True) -> SubscriptionView:
        """One subscription and how it is doing; `whole`: for those who may change it. Raises NotFound."""
        subscription = self._known(subscription_id)
        status = self._consumers.status(subscription_id)
        if status is None:  # deleted between the two
            raise _not_found()
        return _view(subscription, status, whole=whole)

    def page(
        self, limit: int, cursor: str | None = None, state: str | None = None, *, whole: bool = True
    ) -> Page[SubscriptionView]:
        """The newest first; with `state` only those that are in it."""
        waiting = self._store.listed(place_of(cursor) if cursor else None)
        items: list[SubscriptionView] = []
        while waiting:
            chunk, waiting = waiting[:_CHUNK], waiting[_CHUNK:]
            for number, (place, view) in enumerate(self._views(chunk, whole=whole)):
                if state is not None and view.status.state != state:
                    continue
                items.append(view)
                if len(items) == limit:
                    more = bool(waiting) or number + 1 < len(chunk)
                    return Page(items, cursor_of(place) if more else None)
        return Page(items)

    def deliveries(
        self, subscription_id: str, limit: int, cursor: str | None, outcome: str | None
    ) -> Page[LoggedDelivery]:
        """The delivery log, the newest attempt first."""
        self._known(subscription_id)
        before = entry_of(cursor) if cursor else None
        items, last = self._store.deliveries(subscription_id, limit, before, outcome)
        return Page(items, encode_text(last) if last else None)

    def parked(self, subscription_id: str, limit: int, cursor: str | None) -> Page[Parked]:
        """What the destination has refused for good, the oldest first."""
        self._known(subscription_id)
        found, following = self._consumers.parked(
            subscription_id, limit, decode_number(cursor) if cursor else 0
        )
        return Page(found, encode_number(following) if following else None)

    # Operating --------------------

    def pause(self, subscription_id: str, actor: str) -> None:
        """Deliver nothing until `resume`; its place is kept within the log's retention."""
        self._known(subscription_id)
        self._consumers.pause(subscription_id, actor)
        self._audit.write_down(actor, "pause subscription", subscription_id)

    def resume(self, subscription_id: str, actor: str) -> None:
        """Go on where it stopped, also where it was disabled."""
        self._known(subscription_id)
        self._consumers.resume(subscription_id)
        self._audit.write_down(actor, "resume subscription", subscription_id)

    def act_on_parked(self, subscription_id: str, verb: str, which: str | None, actor: str) -> int:
        """Deliver parked events once more ("retry") or give them up ("discard"): one, or all there are now.
        How many; raises NotFound for one that isn't parked."""
        self._known(subscription_id)
        act = self._consumers.retry_parked if verb == "retry" else self._consumers.discard_parked
        changed = act(subscription_id, which)
        if which is not None and changed == 0:
            raise NotFound("No such event is parked.", code="parked_not_found", field="parkedId")
        self._audit.write_down(actor, f"{verb} parked", f"{subscription_id} {which or 'all'}")
        return changed

    def replay(self, subscription_id: str, since: datetime, actor: str) -> ReplayProgress:
        """Deliver once more what was published since, beside the live delivery. Raises Conflict while
        another replay of it runs."""
        self._known(subscription_id)
        progress = self._consumers.replay(subscription_id, to_ms(since))
        self._audit.write_down(actor, "replay subscription", f"{subscription_id} since {start_text(since)}")
        return progress

    def replay_progress(self, subscription_id: str, replay_id: str) -> ReplayProgress:
        """How far a replay is; raises NotFound."""
        self._known(subscription_id)
        known = _REPLAY.match(replay_id)
        progress = self._consumers.replay_progress(subscription_id, replay_id) if known else None
        if progress is None:
            raise _no_replay()
        return progress

    def cancel_replay(self, subscription_id: str, replay_id: str, actor: str) -> ReplayProgress:
        """End a replay; what it has delivered stays delivered."""
        self._known(subscription_id)
        if not _REPLAY.match(replay_id) or not self._consumers.cancel_replay(subscription_id, replay_id):
            raise _no_replay()
        self._audit.write_down(actor, "cancel replay", f"{subscription_id} {replay_id}")
        return self.replay_progress(subscription_id, replay_id)

    def test(self, subscription_id: str, actor: str) -> SinkTest:
        """Send a test event now, whatever state the subscription is in; what came back."""
        self._known(subscription_id)
        self._audit.write_down(actor, "test subscription", subscription_id)
        return SinkTest(*self._consumers.test(subscription_id))

    # ----------------------------------------------------------------------------------------------

    def _known(self, subscription_id: str, if_match: str | None = None) -> Subscription:
        found = self._store.get(subscription_id) if _ID.match(subscription_id) else None
        if found is None:
            raise _not_found()
        check_if_match(str(found.revision), if_match)
        return found

    def _repeated(self, before: Subscription, fingerprint: str) -> MadeSubscription:
        if before.fingerprint != fingerprint:
            raise Unprocessable(
                "This Idempotency-Key was used with another body.", code="idempotency_key_reused"
            )
        return MadeSubscription(self.get(before.id))

    def _start(self, start: str | datetime, topics: list[str]) -> dict[str, int]:
        """Topic → after which sequence it begins; those left out begin with what is published from now on."""
        if isinstance(start, datetime):
            return {topic: self._log.first_after(topic, to_ms(start)) for topic in topics}
        return {} if start == "now" else dict.fromkeys(topics, 0)

    def _views(self, places: list[Listed], *, whole: bool) -> list[tuple[Listed, SubscriptionView]]:
        found = {one.id: one for one in self._store.several([place.id for place in places])}
        statuses = self._consumers.statuses(list(found))
        return [
            (place, _view(found[place.id], statuses[place.id], whole=whole))
            for place in places
            if place.id in statuses
        ]

    @contextmanager
    def _changing(self, subscription_id: str) -> Iterator[None]:
        """One change at a time: what was read is what is changed. Raises Conflict."""
        if not _ID.match(subscription_id):
            raise _not_found()
        token = self._store.lock(subscription_id)
        if token is None:
            raise Conflict(
                "This subscription is being changed by another call; try again.", code="being_changed"
            )
        try:
            yield
        finally:
            self._store.unlock(subscription_id, token)


def _view(subscription: Subscription, status: ConsumerStatus, *, whole: bool) -> SubscriptionView:
    if not whole:
        subscription = replace(subscription, sink=without_query(subscription.sink))
    return SubscriptionView(subscription, status)


def _current(secrets: Mapping[str, Any]) -> str | None:
    stored = secrets.get("signing")
    return str(stored[0]["secret"]) if stored else None


def _not_found() -> NotFound:
    return NotFound("There is no such subscription.", code="subscription_not_found", field="subscriptionId")


def _no_replay() -> NotFound:
    return NotFound("There is no such replay.", code="replay_not_found", field="replayId")
