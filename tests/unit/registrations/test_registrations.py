"""Registering, unregistering and the forced update, on the real store."""

from __future__ import annotations

import json
import threading

import pytest
from redis import Redis

from app.outgoing.model import AVOS, Idempotency
from app.platform.errors import BadRequest, MediaopsError, NotFound, Unprocessable
from app.platform.redis import connect, typed
from app.registrations.records import Pair
from tests.support.server import RealServer
from tests.unit.planning.conftest import Services, services_on


def planned(services: Services, *livestreams: str) -> None:
    services.put_event(livestreams=livestreams or ("L1",))
    services.put_job()


def detail_of(services: Services, livestream_id: str, content_media_id: str) -> str:
    with pytest.raises(MediaopsError) as caught:
        services.register(livestream_id, content_media_id)
    return f"{caught.value.status} {caught.value.detail}"


def happenings(services: Services) -> list[tuple[str, str]]:
    entries = typed(services.client).xrevrange(services.keys.log("livestream-operations"))
    events = [json.loads(fields[b"event"]) for _, fields in reversed(entries)]
    return [(event["eventName"], event["contentMediaId"]) for event in events]


def test_a_new_registration_is_created_and_queues_both_patches(services: Services) -> None:
    planned(services)
    made = services.register()
    assert made.created
    assert [one["kind"] for one in services.requests(made.request_ids)] == ["booking", "source"]
    assert made.registration.created_at == made.registration.updated_at
    assert made.registration.deleted_at is None
    assert happenings(services) == [("livestream-registered", "C1")]


def test_the_same_pair_again_is_an_update_and_queues_nothing_new(services: Services) -> None:
    planned(services)
    first, again = services.register(), services.register("L1", "c1")
    assert (again.created, again.request_ids) == (False, ())
    assert again.registration.created_at == first.registration.created_at
    assert again.registration.content_media_id == "C1"
    assert again.registration.generation == first.registration.generation


@pytest.mark.parametrize("livestream_id", ["L1", "L2"])
def test_registering_again_while_an_old_request_is_live_asks_for_both_patches(
    services: Services, livestream_id: str
) -> None:
    """The live one will be refused when it wants to send: it is of a registration that has ended."""
    planned(services, "L1", "L2")
    services.register("L1", "C1")
    services.outgoing.store.promote(AVOS)
    services.registrations.unregister(Pair("L1", "C1"))
    again = services.register(livestream_id, "C1")
    assert [one["kind"] for one in services.requests(again.request_ids)] == ["booking", "source"]


def test_refusals_come_in_their_order_with_the_exact_texts(services: Services) -> None:
    assert detail_of(services, "L1", "C1") == "404 Livestream not found"
    services.put_event(livestreams=("L1", "L2"))
    assert detail_of(services, "L1", "C1") == "404 Event has no Job attached"
    services.put_job()
    services.register("L1", "C1")
    assert detail_of(services, "L1", "C2") == "400 Content Media Already Registered"
    assert detail_of(services, "L2", "c1") == "400 Content Media Already Registered"
    services.put_job(status="canceled")
    assert detail_of(services, "L1", "C2") == "404 Event has no Job attached"
    services.planning.delete("event", "ev-1")
    assert detail_of(services, "L1", "C2") == "404 Livestream not found"


def test_a_livestream_id_is_exact_and_a_content_media_id_is_not(services: Services) -> None:
    planned(services)
    assert detail_of(services, "l1", "C1") == "404 Livestream not found"
    services.register("L1", "StraSSe")
    services.put_event(livestreams=("L1", "L2"))
    assert detail_of(services, "L2", "strasse") == "400 Content Media Already Registered"


def test_unregistering_keeps_the_record_and_ends_open_requests(services: Services) -> None:
    planned(services)
    made = services.register()
    ended = services.registrations.unregister(Pair("L1", "c1"))
    assert ended.registration.deleted_at is not None
    assert ended.registration.content_media_id == "C1"
    assert {(one["state"], one["reason"]) for one in services.requests(made.request_ids)} == {
        ("superseded", "unregistered")
    }
    assert services.registrations.active() == []
    assert happenings(services)[-1] == ("livestream-unregistered", "C1")
    assert services.put_event(pre_ko="2026-11-21T20:00:00Z").request_ids == ()


@pytest.mark.parametrize("pair", [Pair("L1", "C2"), Pair("L2", "C1"), Pair("L9", "C9")])
def test_only_an_active_pair_can_be_unregistered(services: Services, pair: Pair) -> None:
    planned(services)
    services.register()
    with pytest.raises(NotFound):
        services.registrations.unregister(pair)
    services.registrations.unregister(Pair("L1", "C1"))
    with pytest.raises(NotFound):
        services.registrations.unregister(Pair("L1", "C1"))


def test_a_deleted_pair_comes_back_as_created_with_a_new_generation(services: Services) -> None:
    planned(services)
    first = services.register("L1", "AbC")
    services.registrations.unregister(Pair("L1", "ABC"))
    again = services.register("L1", "abc")
    assert again.created
    assert again.registration.deleted_at is None
    assert again.registration.created_at == first.registration.created_at
    assert again.registration.generation > first.registration.generation
    assert again.registration.content_media_id == "AbC"
    assert {one["path"] for one in services.requests(again.request_ids[:1])} == {
        "/external/contentMedia/live/AbC"
    }
    assert len(again.request_ids) == 2


def test_generations_and_the_first_spelling_belong_to_the_content_media(services: Services) -> None:
    planned(services, "L1", "L2")
    first = services.register("L1", "AbC")
    services.registrations.unregister(Pair("L1", "AbC"))
    other = services.register("L2", "aBc")
    assert other.registration.generation > first.registration.generation
    assert other.registration.content_media_id == "AbC"
    assert [(pair.livestream_id, pair.content_media_id) for pair in services.registrations.active()] == [
        ("L2", "AbC")
    ]


def test_a_forced_update_queues_both_although_nothing_changed(services: Services) -> None:
    planned(services)
    services.register()
    forced = services.registrations.force_update("c1")
    assert [one["kind"] for one in services.requests(forced)] == ["booking", "source"]
    assert "update-forced" in services.timeline("C1")


def test_a_forced_update_of_an_orphan_records_why_nothing_is_sent(services: Services) -> None:
    planned(services)
    services.register()
    services.planning.delete("event", "ev-1")
    forced = services.requests(services.registrations.force_update("C1"))
    assert [(one["state"], one["reason"]) for one in forced] == [("rejected", "no_livestream")] * 2


def test_a_forced_update_needs_an_active_registration(services: Services) -> None:
    planned(services)
    with pytest.raises(NotFound):
        services.registrations.force_update("C1")
    services.register()
    services.registrations.unregister(Pair("L1", "C1"))
    with pytest.raises(NotFound):
        services.registrations.force_update("C1")


def test_registering_can_be_told_not_to_send(redis_client: Redis, tenant: str) -> None:
    services = services_on(redis_client, tenant, sync_on_register=False)
    planned(services)
    assert services.register().request_ids == ()
    assert len(services.put_event(pre_ko="2026-11-21T20:00:00Z").request_ids) == 2


def test_the_event_that_changes_in_between_is_noticed(services: Services) -> None:
    planned(services)
    services.outgoing.before = [lambda: services.put_event(pre_ko="2026-11-21T20:00:00Z")]
    made = services.register()
    record = services.requests(made.request_ids)[0]
    assert record["body:bookingPreKOStartTime"] == '"2026-11-21T20:00:00Z"'


def test_a_job_that_goes_in_between_is_noticed(services: Services) -> None:
    planned(services)
    services.outgoing.before = [lambda: services.planning.delete("job", "j-1")]
    with pytest.raises(NotFound, match="Event has no Job attached"):
        services.register()


def test_the_same_key_is_answered_alike(services: Services) -> None:
    planned(services)
    key = Idempotency("e" * 64, "f1")
    first = services.registrations.register(Pair("L1", "C1"), key)
    again = services.registrations.register(Pair("L1", "C1"), key)
    assert (again.created, again.request_ids) == (True, first.request_ids)
    with pytest.raises(Unprocessable):
        services.registrations.register(Pair("L1", "C2"), Idempotency("e" * 64, "f2"))


def test_the_same_key_is_answered_although_the_record_is_gone(services: Services) -> None:
    planned(services)
    key = Idempotency("e" * 64, "f1")
    first = services.registrations.register(Pair("L1", "C1"), key)
    services.client.delete(services.registrations.store.keys.registration("L1", "C1"))
    again = services.registrations.register(Pair("L1", "C1"), key)
    assert again.request_ids == first.request_ids
    assert (again.registration.livestream_id, again.registration.content_media_id) == ("L1", "C1")


@pytest.mark.parametrize("rivals", [[("L1", "C1"), ("L1", "C2")], [("L1", "C1"), ("L2", "c1")]])
def test_of_two_clients_that_register_at_once_exactly_one_wins(
    real_server: RealServer, tenant: str, rivals: list[tuple[str, str]]
) -> None:
    services = [services_on(connect(real_server.url, timeout_s=10), tenant) for _ in rivals]
    planned(services[0], "L1", "L2")
    for round_number in range(25):
        start = threading.Barrier(len(rivals))
        answers: list[str] = []

        def compete(
            own: Services, livestream_id: str, media: str, go: threading.Barrier, said: list[str]
        ) -> None:
            go.wait()
            try:
                own.register(livestream_id, media)
                said.append("won")
            except BadRequest as error:
                said.append(error.detail)

        threads = [
            threading.Thread(
                target=compete, args=(own, livestream, f"{media}-{round_number}", start, answers)
            )
            for own, (livestream, media) in zip(services, rivals, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == ["Content Media Already Registered", "won"]
        [active] = services[0].registrations.active()
        services[0].registrations.unregister(active)


def test_many_writers_of_one_event_all_get_through_and_the_last_is_what_is_queued(
    real_server: RealServer, tenant: str
) -> None:
    services = [services_on(connect(real_server.url, timeout_s=10), tenant) for _ in range(4)]
    services[0].planned_and_registered()

    def write(own: Services, offset: int) -> None:
        for number in range(10):
            own.put_event(pre_ko=f"2026-11-21T{10 + offset}:{number:02}:00Z")

    threads = [threading.Thread(target=write, args=(own, offset)) for offset, own in enumerate(services)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = services[0].planning.get("event", "ev-1").body
    assert stored is not None
    client = typed(services[0].client)
    ids = [one.decode() for one in client.zrange(services[0].keys.requests, 0, -1)]
    pending = [
        one for one in services[0].requests(ids) if one["state"] == "pending" and one["kind"] == "booking"
    ]
    assert [json.loads(one["body:bookingPreKOStartTime"]) for one in pending] == [
        stored["livestreams"][0]["preKoUtc"]
    ]
