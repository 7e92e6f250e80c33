"""Which requests keep a content media in step."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.avos.bodies import PropertyNames
from app.avos.sync import Planned, Registered, desired, event_times
from app.outgoing.model import ABSENT, RequestGuard
from tests.unit.planning.conftest import event_body, job_body

LINK = Registered("L1", "AbC/1", 3)
PLANNED = Planned("ev-1", event_body(), "j-1", job_body())


def test_two_patches_of_one_lane_booking_first() -> None:
    booking, source = desired(LINK, PLANNED, PropertyNames())
    assert (booking.kind, source.kind) == ("booking", "source")
    assert booking.path == "/external/contentMedia/live/AbC%2F1"
    assert source.path == "/external/contentMedia/live/AbC%2F1/technicalMedia/sourceMedia/"
    for request in (booking, source):
        assert (request.destination, request.method, request.lane) == ("avos", "PATCH", "abc/1")
        assert (request.content_media_id, request.forced) == ("AbC/1", False)
        assert request.guards == (
            RequestGuard(("HGET", "registrations:generation", "abc/1"), "3", "unregistered"),
            RequestGuard(("HEXISTS", "registrations:active:media", "abc/1"), "1", "unregistered"),
        )
        assert (request.livestream_id, request.event_id, request.job_id) == ("L1", "ev-1", "j-1")
        assert request.event_end == datetime(2026, 11, 21, 21, 45, tzinfo=UTC)
        assert request.title == event_body()["name"]
        assert request.rejected is None


def test_a_forced_update_says_so() -> None:
    assert all(request.forced for request in desired(LINK, PLANNED, PropertyNames(), forced=True))


def test_it_is_as_urgent_as_the_registered_livestream_s_kick_off() -> None:
    event = event_body(("L0",), pre_ko="2026-11-21T18:00:00Z")
    event["livestreams"].append({"livestreamId": "L1", "preKoUtc": "2026-11-21T20:00:00Z"})
    booking, _ = desired(LINK, Planned("ev-1", event, "j-1", job_body()), PropertyNames())
    assert booking.urgent_at == datetime(2026, 11, 21, 20, tzinfo=UTC)
    del event["livestreams"][1]["preKoUtc"]
    booking, _ = desired(LINK, Planned("ev-1", event, "j-1", job_body()), PropertyNames())
    assert booking.urgent_at == datetime(2026, 11, 21, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("planned", "codes"),
    [
        (Planned(), ("no_livestream", "no_livestream")),
        (Planned("ev-1", event_body(("L2",)), "j-1", job_body()), ("no_livestream", "no_livestream")),
        (Planned("ev-1", event_body()), ("no_job", "no_job")),
        (Planned("ev-1", event_body(), "j-1", job_body(dmhe="0")), (None, "no_dmhe_resource")),
        (Planned("ev-1", event_body(), "j-1", {"eventId": "ev-1"}), (None, "no_dmhe_resource")),
    ],
)
def test_what_cannot_be_composed_carries_its_code(planned: Planned, codes: tuple[str | None, ...]) -> None:
    requests = desired(LINK, planned, PropertyNames())
    assert tuple(request.rejected for request in requests) == codes
    for request in requests:
        assert request.members
        if request.rejected:
            assert set(request.members.values()) == {ABSENT}


def test_a_livestream_in_no_event_has_no_times() -> None:
    assert event_times(None, "L1") == (None, None)
    assert event_times({"eventEnd": None}, "L1") == (None, None)
