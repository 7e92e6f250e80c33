"""Accepting: the change and all it causes in one script, or nothing. On fakeredis and on a real server."""

from __future__ import annotations

import json

import pytest

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.errors import Again, IdempotencyMismatch
from app.outgoing.model import (
    AVOS,
    Acceptance,
    Guard,
    Happening,
    Idempotency,
    Now,
    Sequence,
    TimelineNote,
    Write,
)
from app.platform.errors import Unavailable
from tests.support.outgoing import Bench


class TestAccept:
    def test_a_change_and_its_requests_are_written_together(self, bench: Bench) -> None:
        key = bench.keys.event("ev/1")
        writes = (
            Write("HSET", key, ("body", b'{"a":[],"n":12345678901234567890}', "updatedAt", Now())),
            Write("ZADD", bench.keys.events, (Sequence(), "ev/1")),
        )
        ids = bench.accept(bench.patch(), writes=writes)
        assert len(ids) == 1
        assert bench.client.hget(key, "body") == b'{"a":[],"n":12345678901234567890}'
        assert int(bench.client.hget(key, "updatedAt") or 0) == int(bench.now.timestamp() * 1000)
        assert bench.client.zrange(bench.keys.events, 0, -1) == [b"ev/1"]

    def test_a_moved_guard_changes_nothing(self, bench: Bench) -> None:
        guard = Guard(("GET", bench.keys.event_revision("ev")), "3")
        with pytest.raises(Again):
            bench.accept(
                bench.patch(), guards=(guard,), writes=(Write("SET", f"{bench.keys.prefix}k", ("v",)),)
            )
        assert bench.client.keys(f"{bench.keys.prefix}*") == []

    @pytest.mark.parametrize(
        "command",
        [("GET", "nothing"), ("HGET", "nothing", "field"), ("ZREVRANGE", "nothing", "0", "0")],
    )
    def test_a_guard_on_nothing_expects_the_empty_text(self, bench: Bench, command: tuple[str, ...]) -> None:
        name, key, *rest = command
        assert bench.accept(bench.patch(), guards=(Guard((name, bench.keys.prefix + key, *rest), ""),))

    def test_user_json_keeps_every_byte(self, bench: Bench) -> None:
        value = {"list": [], "object": {}, "float": 0.0, "big": 2**63, "text": "é\u0000\U0001f3c9"}
        [request_id] = bench.accept(bench.patch(members={"a": value}))
        sent = bench.run()
        assert sent is not None
        assert json.loads(sent["a"]) == value
        assert '"list":[]' in sent["a"]
        assert bench.record(request_id)["body"] == {"a": value}

    def test_what_changes_nothing_is_not_queued(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1, "b": {"x": 1, "y": 2}}, forced=False))
        assert bench.accept(bench.patch(members={"b": {"y": 2, "x": 1}, "a": 1}, forced=False)) == []
        bench.run()
        assert bench.state(first) == "delivered"
        assert bench.accept(bench.patch(members={"a": 1}, forced=False)) == []

    def test_going_back_to_an_older_value_is_queued(self, bench: Bench) -> None:
        bench.accept(bench.patch(members={"a": "A"}, forced=False))
        bench.run()
        bench.accept(bench.patch(members={"a": "B"}, forced=False))
        assert len(bench.accept(bench.patch(members={"a": "A"}, forced=False))) == 1
        assert bench.run() == {"a": '"A"'}

    @pytest.mark.parametrize("end", ["rejected", "expired", "discarded"])
    def test_the_same_value_is_queued_again_when_its_request_ended_undelivered(
        self, bench: Bench, end: str
    ) -> None:
        [first] = bench.accept(bench.patch(forced=False))
        [live] = bench.take()
        match end:
            case "rejected":
                bench.send(live, AttemptError("refused", "400", retryable=False))
            case "expired":
                bench.fail(live)
                bench.pass_time(days=2)
                bench.tick()
            case _:
                bench.fail(live)
                bench.store.act(first, "discard", "me")
        assert bench.state(first) == end
        assert len(bench.accept(bench.patch(forced=False))) == 1

    def test_a_forced_update_is_always_queued(self, bench: Bench) -> None:
        bench.accept(bench.patch())
        assert len(bench.accept(bench.patch())) == 1

    def test_an_idempotency_key_answers_as_the_first_time(self, bench: Bench) -> None:
        key = Idempotency("digest", "fingerprint")
        first = bench.store.accept(Acceptance(requests=(bench.patch(),), idempotency=key))
        again = bench.store.accept(Acceptance(requests=(bench.patch(),), idempotency=key))
        assert (again.request_ids, again.repeated) == (first.request_ids, True)
        with pytest.raises(IdempotencyMismatch):
            bench.store.accept(Acceptance(idempotency=Idempotency("digest", "another")))

    def test_a_nearly_full_store_takes_no_new_work_and_drains(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.client.set(f"{bench.keys.prefix}store:full", "1")
        with pytest.raises(Unavailable):
            bench.accept(bench.patch())
        bench.run()
        assert bench.state(request_id) == "delivered"

    def test_what_cannot_be_composed_is_rejected_visibly(self, bench: Bench) -> None:
        request = bench.patch(members={"a": None}, rejected="no_job", forced=False)
        [request_id] = bench.accept(request)
        record = bench.record(request_id)
        assert (record["state"], record["error"]["code"], record["body"]) == ("rejected", "no_job", {})
        assert bench.happenings() == ["sync-rejected"]
        assert bench.store.lane_summaries(AVOS, ["cm1"])[0].failing
        again = bench.patch(members={"a": None}, rejected="no_job", forced=False)
        assert bench.accept(again) == [], "the same verdict on the same content media is said once"
        assert bench.store.act(request_id, "retry", "me")[0] == "uncomposed"

    def test_happenings_and_notes_come_with_the_change(self, bench: Bench) -> None:
        happening = Happening(
            "livestream-operations", "livestream-registered", {"livestreamId": "L", "x": []}
        )
        bench.accept(happenings=(happening,), notes=(TimelineNote("CM1", "registered", {"by": "api"}),))
        [(entry, fields)] = bench.client.xrange(bench.keys.log("livestream-operations"))
        event = json.loads(fields[b"event"])
        assert entry == b"1-0"
        assert event["eventName"] == "livestream-registered"
        assert (event["livestreamId"], event["x"], event["versions"]) == ("L", [], ["1.0"])
        assert event["timestamp"] == "2026-11-21T12:00:00.000Z"
        assert len(bench.client.xrange(bench.keys.timeline("cm1"))) == 1


@pytest.mark.parametrize("release", ["this", "before"])
class TestRegistration:
    """`before`: the record of a request as the release before has written it."""

    def register(self, bench: Bench, generation: int) -> None:
        bench.client.hset(bench.keys.generations, "cm1", str(generation))
        bench.client.hset(bench.keys.active_by_media, "cm1", "pair")

    def written_by(self, release: str, bench: Bench, *ids: str) -> None:
        for request_id in ids if release == "before" else ():
            assert bench.client.hdel(bench.keys.request(request_id), "guards") == 1

    def test_unregistering_ends_what_is_open(self, bench: Bench, release: str) -> None:
        self.register(bench, 1)
        failed, waiting, generic = bench.accept(
            bench.patch(members={"a": 1}, generation=1),
            bench.patch(members={"b": 1}, generation=1),
            bench.patch(members={"c": 1}),
        )
        self.written_by(release, bench, failed, waiting)
        bench.take()
        bench.fail(failed)
        bench.accept(recheck=((AVOS, "cm1"),), writes=(Write("HDEL", bench.keys.active_by_media, ("cm1",)),))
        assert [bench.state(i) for i in (failed, waiting, generic)] == ["superseded", "superseded", "pending"]
        assert bench.record(waiting)["reason"] == "unregistered"

    def test_what_a_live_request_of_an_earlier_registration_wants_is_asked_for_anew(
        self, bench: Bench, release: str
    ) -> None:
        self.register(bench, 1)
        [old] = bench.accept(bench.patch(generation=1, forced=False))
        self.written_by(release, bench, old)
        bench.take()
        claim = bench.claim(old)
        bench.accept(recheck=((AVOS, "cm1"),))
        self.register(bench, 2)
        [new] = bench.accept(bench.patch(generation=2, forced=False))
        assert bench.accept(bench.patch(generation=2, forced=False)) == [], "that one is wanted now"
        assert bench.store.begin(claim, "lm") is None
        assert bench.take() == [new]
        assert bench.send(new) == {"a": "1"}

    def test_what_an_earlier_registration_has_delivered_stands(self, bench: Bench, release: str) -> None:
        self.register(bench, 1)
        [old] = bench.accept(bench.patch(generation=1, forced=False))
        self.written_by(release, bench, old)
        bench.run()
        self.register(bench, 2)
        assert bench.accept(bench.patch(generation=2, forced=False)) == []

    @pytest.mark.parametrize("moment", ["claim", "begin"])
    def test_an_ended_or_newer_registration_refuses_an_old_request(
        self, bench: Bench, release: str, moment: str
    ) -> None:
        self.register(bench, 1)
        request_id, behind = bench.accept(bench.patch(generation=1), bench.patch(members={"b": 1}))
        self.written_by(release, bench, request_id)
        bench.take()
        promotions = f"{bench.keys.prefix}pending"
        bench.client.delete(promotions)
        if moment == "claim":
            self.register(bench, 2)
            assert bench.store.claim(request_id) is None
        else:
            claim = bench.claim(request_id)
            bench.client.hdel(bench.keys.active_by_media, "cm1")
            assert bench.store.begin(claim, "lm") is None
        assert bench.record(request_id)["reason"] == "unregistered"
        assert bench.client.llen(promotions) == 1, "what waits behind it is to be promoted"
        assert bench.take() == [behind]

    def test_an_operator_cannot_retry_across_registrations(self, bench: Bench, release: str) -> None:
        self.register(bench, 1)
        [request_id] = bench.accept(bench.patch(generation=1))
        self.written_by(release, bench, request_id)
        bench.run(AttemptError("refused", "400", retryable=False))
        self.register(bench, 2)
        assert bench.store.act(request_id, "retry", "me") == ("guard", "unregistered")

    @pytest.mark.parametrize("moment", ["reclaim", "expire", "finish", "drifted"])
    def test_one_whose_registration_has_ended_ends_wherever_it_is_met(
        self, bench: Bench, release: str, moment: str
    ) -> None:
        self.register(bench, 1)
        [request_id] = bench.accept(bench.patch(generation=1))
        self.written_by(release, bench, request_id)
        bench.take()
        claim = bench.claim(request_id)
        timeout = AttemptError("timeout", "no answer")
        if moment == "expire":
            assert bench.store.finish(claim, AttemptResult({"outcome": "x"}, timeout))
        self.register(bench, 2)
        bench.pass_time(days=2)
        if moment == "reclaim":
            assert bench.store.reclaim(AVOS) == 1
        elif moment == "expire":
            assert bench.store.expire(AVOS) == 1
        elif moment == "finish":
            assert bench.store.finish(claim, AttemptResult({"outcome": "x"}, timeout))
        else:
            assert not bench.store.drifted(claim, ["a"], {"a": 2}, park=True)
        assert (bench.state(request_id), bench.record(request_id)["reason"]) == ("superseded", "unregistered")

    def test_a_repeat_changes_nothing_while_the_registration_stands(self, bench: Bench, release: str) -> None:
        self.register(bench, 1)
        [old] = bench.accept(bench.patch(generation=1, forced=False))
        self.written_by(release, bench, old)
        assert bench.accept(bench.patch(generation=1, forced=False)) == []
        assert bench.accept(bench.patch(forced=False)) != [], "made for no registration, it outlives this one"

    def test_the_release_before_finds_what_it_knows(self, bench: Bench, release: str) -> None:
        self.register(bench, 1)
        [guarded, free] = bench.accept(bench.patch(generation=1), bench.patch("CM2"))
        stored = [bench.client.hget(bench.keys.request(one), "generation") for one in (guarded, free)]
        assert stored == [b"1", None]
