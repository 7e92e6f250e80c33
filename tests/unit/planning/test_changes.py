"""What a change of planning is answered and what it queues, on the real store."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from app.outgoing.model import Idempotency
from app.platform.errors import Conflict, NotFound, PreconditionFailed, Unavailable, Unprocessable
from tests.unit.planning.conftest import Services, event_body, job_body


def booking(services: Services, request_id: str) -> dict[str, str]:
    record = services.requests([request_id])[0]
    return {
        name: json.loads(record[f"body:{name}"])
        for name in json.loads(record["members"])
        if f"body:{name}" in record
    }


def test_a_new_event_is_created_and_a_second_put_updates_it(services: Services) -> None:
    first = services.put_event()
    second = services.put_event(name="Other")
    assert (first.created, second.created) == (True, False)
    assert second.record.revision > first.record.revision
    assert second.record.created_at == first.record.created_at
    stored = services.planning.get("event", "ev-1")
    assert stored.body == event_body(name="Other")
    assert stored.revision == second.record.revision


def test_an_identical_put_writes_nothing_and_queues_nothing(services: Services) -> None:
    services.planned_and_registered()
    before = services.put_event().record
    again, job_again = services.put_event(), services.put_job()
    assert (again.changed, job_again.changed) == (False, False)
    assert again.request_ids == job_again.request_ids == ()
    assert services.planning.get("event", "ev-1") == before


@pytest.mark.parametrize(("before", "after"), [(True, 1), (1, True), (0, False), (1, 1.0)])
def test_a_value_of_another_json_type_is_a_change(services: Services, before: object, after: object) -> None:
    services.put_event()
    services.put_job(dmhe=before)
    assert services.put_job(dmhe=after).changed
    stored = services.planning.get("job", "j-1").body
    assert json.dumps(stored) == json.dumps(job_body(dmhe=after))


def test_an_end_in_the_last_year_that_was_stored_before_times_were_bounded_can_be_sent(
    services: Services,
) -> None:
    services.put_event(eventEnd="9999-12-31T23:59:59Z")
    services.put_job()
    registered = services.register()
    record = services.requests(registered.request_ids)[0]
    assert record["graceEndAt"] >= record["eventEndAt"]
    assert booking(services, registered.request_ids[0])["eventEndTime"] == "9999-12-31T23:59:59Z"


def test_a_moved_kick_off_of_a_registered_livestream_queues_the_booking_only(services: Services) -> None:
    services.planned_and_registered()
    moved = services.put_event(pre_ko="2026-11-21T20:00:00Z")
    [record] = services.requests(moved.request_ids)
    assert (record["kind"], record["state"]) == ("booking", "pending")
    assert booking(services, moved.request_ids[0]) == {
        "bookingPreKOStartTime": "2026-11-21T20:00:00Z",
        "bookingStartTime": "2026-11-21T18:00:00Z",
        "eventEndTime": "2026-11-21T21:45:00Z",
    }
    assert record["urgentAt"] == str(int(datetime(2026, 11, 21, 20, tzinfo=UTC).timestamp() * 1000))


def test_a_name_that_avos_never_sees_queues_nothing(services: Services) -> None:
    services.planned_and_registered()
    assert services.put_event(name="Another name").request_ids == ()


def test_there_and_back_queues_both_ways(services: Services) -> None:
    services.planned_and_registered()
    assert len(services.put_event(pre_ko="2026-11-21T20:00:00Z").request_ids) == 1
    assert len(services.put_event().request_ids) == 1


def test_an_unregistered_livestream_queues_nothing(services: Services) -> None:
    services.put_event()
    assert services.put_job().request_ids == ()


def test_a_job_may_come_before_its_event_and_counts_once_that_is_there(services: Services) -> None:
    early = services.put_job()
    assert (early.created, early.event_known) == (True, False)
    services.put_event()
    assert services.register().created


def test_the_job_updated_last_counts_and_a_canceled_one_does_not(services: Services) -> None:
    services.planned_and_registered()
    second = services.put_job("j-2", start="2026-11-21T17:00:00Z")
    assert booking(services, second.request_ids[0])["bookingStartTime"] == "2026-11-21T17:00:00Z"
    canceled = services.put_job("j-2", start="2026-11-21T17:00:00Z", status="canceled")
    assert booking(services, canceled.request_ids[0])["bookingStartTime"] == "2026-11-21T18:00:00Z"
    assert services.requests(canceled.request_ids)[0]["jobId"] == "j-1"


def test_a_repeat_is_queued_again_where_its_request_ended_undelivered(services: Services) -> None:
    services.planned_and_registered()
    queued = services.put_event(eventEnd="2026-11-21T22:15:00Z").request_ids
    assert services.put_event(eventEnd="2026-11-21T22:15:00Z").request_ids == ()
    for request_id in queued:
        services.outgoing.store.act(request_id, "discard", "operator")
    again = services.put_event(eventEnd="2026-11-21T22:15:00Z")
    assert (len(again.request_ids), again.changed) == (len(queued), False)


def test_a_repeat_does_not_make_a_job_the_last_updated(services: Services) -> None:
    services.planned_and_registered()
    services.put_job("j-2", start="2026-11-21T17:00:00Z")
    assert services.put_job("j-1").request_ids == ()
    assert services.put_event(pre_ko="2026-11-21T20:00:00Z").request_ids
    assert services.client.zrevrange(services.keys.event_jobs("ev-1"), 0, 0) == [b"j-2"]


def test_deleting_the_only_job_records_both_as_rejected_once(services: Services) -> None:
    services.planned_and_registered()
    gone = services.planning.delete("job", "j-1")
    assert [(one["kind"], one["state"], one["reason"]) for one in services.requests(gone.request_ids)] == [
        ("booking", "rejected", "no_job"),
        ("source", "rejected", "no_job"),
    ]
    assert services.put_event(pre_ko="2026-11-21T20:00:00Z").request_ids == ()
    assert len(services.put_job().request_ids) == 2


def test_a_job_without_dmhe_rejects_the_source_and_its_sibling_goes_on(services: Services) -> None:
    services.planned_and_registered()
    changed = services.put_job(dmhe="false", start="2026-11-21T17:00:00Z")
    states = {
        one["kind"]: (one["state"], one.get("reason")) for one in services.requests(changed.request_ids)
    }
    assert states == {"booking": ("pending", None), "source": ("rejected", "no_dmhe_resource")}


def test_a_dropped_livestream_keeps_its_registration_and_says_no_livestream(services: Services) -> None:
    services.planned_and_registered()
    dropped = services.put_event(livestreams=("L2",))
    assert {one["reason"] for one in services.requests(dropped.request_ids)} == {"no_livestream"}
    assert [pair.livestream_id for pair in services.registrations.active()] == ["L1"]


def test_a_deleted_event_keeps_job_and_registration_until_it_is_back(services: Services) -> None:
    services.planned_and_registered()
    services.planning.delete("event", "ev-1")
    with pytest.raises(NotFound):
        services.planning.get("event", "ev-1")
    assert services.planning.get("job", "j-1").exists
    back = services.put_event(pre_ko="2026-11-21T20:00:00Z")
    assert back.created
    assert len(back.request_ids) == 2


def test_the_event_that_named_a_livestream_last_owns_it_and_gives_it_back(services: Services) -> None:
    services.planned_and_registered()
    services.put_job("j-2", event_id="ev-2", start="2026-11-22T10:00:00Z")
    taken = services.put_event("ev-2", pre_ko="2026-11-22T11:00:00Z")
    assert services.requests(taken.request_ids)[0]["eventId"] == "ev-2"
    assert services.put_job("j-1", start="2026-11-21T17:00:00Z").request_ids == ()
    back = services.put_event("ev-2", livestreams=())
    assert services.requests(back.request_ids)[0]["eventId"] == "ev-1"
    assert booking(services, back.request_ids[0])["bookingStartTime"] == "2026-11-21T17:00:00Z"


def test_a_job_that_moves_to_another_event_changes_both(services: Services) -> None:
    services.planned_and_registered()
    services.put_event("ev-2", livestreams=("L2",))
    services.put_job("j-2", event_id="ev-2")
    services.register("L2", "C2")
    moved = services.put_job("j-1", event_id="ev-2", start="2026-11-21T16:00:00Z")
    by_media = {(one["contentMediaId"], one["state"]) for one in services.requests(moved.request_ids)}
    assert by_media == {("C1", "rejected"), ("C2", "pending")}


def test_the_booking_uses_the_first_livestream_and_the_source_the_registered_one(services: Services) -> None:
    first = {"livestreamId": "L0", "preKoUtc": "2026-11-21T19:00:00Z", "txEventType": "First"}
    own = {"livestreamId": "L1", "preKoUtc": "2026-11-21T19:30:00Z", "txEventType": "Own"}
    services.planning.put("event", "ev-1", {"name": "n", "livestreams": [first, own]})
    services.put_job()
    made = services.register()
    assert booking(services, made.request_ids[0])["bookingPreKOStartTime"] == "2026-11-21T19:00:00Z"
    assert booking(services, made.request_ids[1])["txEventType"] == "Own"


def test_an_event_without_times_sends_what_is_known(services: Services) -> None:
    services.planning.put("event", "ev-1", {"name": "n", "livestreams": [{"livestreamId": "L1"}]})
    services.put_job()
    made = services.register()
    assert booking(services, made.request_ids[0]) == {"bookingStartTime": "2026-11-21T18:00:00Z"}


def test_an_older_source_version_changes_nothing(services: Services) -> None:
    services.planning.put("event", "ev-1", event_body(), source_version=5)
    with pytest.raises(Conflict) as caught:
        services.planning.put("event", "ev-1", event_body(name="Late"), source_version=4)
    assert caught.value.code == "source_version_older"
    assert services.planning.get("event", "ev-1").body == event_body()


def test_equal_source_versions_let_the_last_arrival_count(services: Services) -> None:
    services.planning.put("event", "ev-1", event_body(), source_version=5)
    assert not services.planning.put("event", "ev-1", event_body(), source_version=5).changed
    assert services.planning.put("event", "ev-1", event_body(name="Same second"), source_version=5).changed


def test_a_call_without_version_passes_and_the_stored_one_stays(services: Services) -> None:
    services.planning.put("event", "ev-1", event_body(), source_version=5)
    assert services.put_event(name="By hand").record.source_version == 5
    with pytest.raises(Conflict):
        services.planning.put("event", "ev-1", event_body(), source_version=4)


def test_numbers_and_times_as_versions_cannot_be_compared(services: Services) -> None:
    services.planning.put("job", "j-1", job_body(), source_version=5)
    with pytest.raises(Conflict) as caught:
        services.planning.put("job", "j-1", job_body(), source_version=datetime(2026, 1, 1, tzinfo=UTC))
    assert caught.value.code == "source_version_kind"


def test_times_as_versions_order_to_the_microsecond(services: Services) -> None:
    newer = datetime(2026, 1, 1, 0, 0, 0, 2, tzinfo=UTC)
    services.planning.put("job", "j-1", job_body(), source_version=newer)
    with pytest.raises(Conflict):
        services.planning.put(
            "job", "j-1", job_body(start="2026-11-21T17:00:00Z"), source_version=newer.replace(microsecond=1)
        )


def test_a_late_put_does_not_bring_a_deleted_event_back(services: Services) -> None:
    services.planning.put("event", "ev-1", event_body(), source_version=5)
    services.planning.delete("event", "ev-1", source_version=6)
    with pytest.raises(Conflict):
        services.planning.put("event", "ev-1", event_body(), source_version=5)
    assert services.planning.put("event", "ev-1", event_body(), source_version=7).created


def test_if_match_refuses_another_revision_and_one_from_before_a_deletion(services: Services) -> None:
    first = services.put_event()
    tag = f'"{first.record.revision}"'
    assert services.planning.put("event", "ev-1", event_body(name="b"), if_match=f'"x", {tag}').changed
    for stale in (tag, f"W/{tag}", '"nonsense', ""):
        with pytest.raises(PreconditionFailed):
            services.planning.put("event", "ev-1", event_body(name="c"), if_match=stale)
    services.planning.delete("event", "ev-1", if_match="*")
    again = services.put_event()
    assert again.record.revision > first.record.revision
    with pytest.raises(PreconditionFailed):
        services.planning.put("event", "ev-9", event_body(), if_match="*")


def test_a_registration_that_appears_in_between_is_noticed(services: Services) -> None:
    services.put_event()
    services.put_job()
    services.outgoing.before = [lambda: services.register()]  # noqa: PLW0108  # its answer is dropped
    moved = services.put_event(pre_ko="2026-11-21T20:00:00Z")
    assert [one["kind"] for one in services.requests(moved.request_ids)] == ["booking"]


def test_a_job_that_changes_in_between_is_noticed(services: Services) -> None:
    services.planned_and_registered()
    services.outgoing.before = [lambda: services.put_job(start="2026-11-21T17:00:00Z")]
    moved = services.put_event(pre_ko="2026-11-21T20:00:00Z")
    assert booking(services, moved.request_ids[0])["bookingStartTime"] == "2026-11-21T17:00:00Z"


def test_endless_contention_ends_as_unavailable(services: Services) -> None:
    services.put_event()
    count = iter(range(1000))

    def rival() -> None:
        services.client.incr(services.keys.event_revision("ev-1"))
        next(count)

    services.outgoing.before = [rival] * 20
    with pytest.raises(Unavailable) as caught:
        services.put_event(name="b")
    assert caught.value.code == "contended"


def test_the_same_key_is_answered_alike_and_another_body_is_refused(services: Services) -> None:
    services.planned_and_registered()
    key = Idempotency("d" * 64, "f1")
    body = event_body(pre_ko="2026-11-21T20:00:00Z")
    tag = f'"{services.planning.get("event", "ev-1").revision}"'
    first = services.planning.put("event", "ev-1", body, if_match=tag, idempotency=key)
    services.put_event(pre_ko="2026-11-21T21:00:00Z")
    again = services.planning.put("event", "ev-1", body, if_match=tag, idempotency=key)
    assert (again.request_ids, again.event_known) == (first.request_ids, first.event_known)
    assert services.planning.get("event", "ev-1").body == event_body(pre_ko="2026-11-21T21:00:00Z")
    with pytest.raises(Unprocessable):
        services.planning.put("event", "ev-1", body, idempotency=Idempotency("d" * 64, "f2"))


def test_lists_come_in_pages_in_order_of_creation(services: Services) -> None:
    for number in range(5):
        services.put_event(f"ev-{number}", livestreams=())
    services.planning.delete("event", "ev-1")
    first = services.planning.page("event", 2)
    rest = services.planning.page("event", 2, first.next)
    assert [name for name, _ in (*first.items, *rest.items)] == ["ev-0", "ev-2", "ev-3", "ev-4"]
    assert rest.next is None


@pytest.mark.parametrize("strange", ["../../etc", "%2e%2e", "@host", "a:b:revision", "ü/\U0001f3c6", "*"])
def test_strange_ids_stay_apart_from_every_other_key(services: Services, strange: str) -> None:
    services.planning.put("event", strange, event_body((strange,)))
    services.planning.put("job", strange, job_body(strange))
    made = services.register(strange, strange)
    [path] = {one["path"] for one in services.requests(made.request_ids[:1])}
    assert path.count("/") == 4
    assert "@" not in path
    assert services.planning.get("event", strange).exists


def test_the_timeline_says_what_planning_did(services: Services) -> None:
    services.planned_and_registered()
    services.put_event(name="b")
    services.put_job(status="canceled")
    said = [what for what in services.timeline("C1") if what.startswith(("event-", "job-", "registered"))]
    assert said == ["registered", "event-updated", "job-canceled"]
