"""Whatever the order and the grouping of planning's calls, the same is stored and the same is wanted at AVOS."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from app.outgoing.control import version_path
from app.outgoing.model import digest
from app.planning.records import Ids
from app.platform.redis import typed
from tests.expectations.sample_expectations import Planning
from tests.unit.planning.conftest import Services, event_body, job_body, services_on

Message = dict[str, Any]
EVENTS, LIVESTREAMS = ("ev-1", "ev-2"), ("L1", "L2", "L3")
_hours = st.integers(10, 13).map(lambda hour: f"2026-11-21T{hour}:00:00Z")
_events = st.builds(
    lambda event_id, livestreams, pre_ko: {
        "type": "event",
        "id": event_id,
        "body": event_body(livestreams, pre_ko=pre_ko),
    },
    st.sampled_from(EVENTS),
    st.lists(st.sampled_from(LIVESTREAMS), unique=True, max_size=3),
    _hours,
)
_jobs = st.builds(
    lambda job_id, event_id, start, status, dmhe: {
        "type": "job",
        "id": job_id,
        "body": job_body(event_id, start, dmhe=dmhe, status=status),
    },
    st.sampled_from(("j-1", "j-2", "j-3")),
    st.sampled_from(EVENTS),
    _hours,
    st.sampled_from(("confirmed", "confirmed", "canceled")),
    st.booleans(),
)
_plans = st.lists(st.one_of(_events, _jobs), min_size=1, max_size=25)


def prepared(client: Redis) -> Services:
    """Every livestream registered, then all of planning's records as they began."""
    services = services_on(client, f"t{uuid.uuid4().hex[:12]}")
    services.put_event("ev-1", livestreams=LIVESTREAMS)
    services.put_job()
    for livestream_id in LIVESTREAMS:
        services.register(livestream_id, f"C-{livestream_id}")
    return services


def model_of(messages: list[Message]) -> Planning:
    planning = Planning()
    start: list[Message] = [
        {"type": "event", "id": "ev-1", "body": event_body(LIVESTREAMS)},
        {"type": "job", "id": "j-1", "body": job_body()},
    ]
    for message in start + messages:
        planning.apply(message)
    return planning


def wanted_and_composed(services: Services) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """By path: the newest desired digest of each member as the accept script keeps them, and the same
    composed anew from what is stored."""
    wanted, composed = {}, {}
    for pair in services.registrations.active():
        for request in services.registrations.preview(pair.content_media_id):
            assert request.members is not None
            fields = typed(services.client).hgetall(services.keys.fields("avos", version_path(request)))
            wanted[request.path] = {
                name.decode().removeprefix("v:"): value.decode().split("|")[2]
                for name, value in fields.items()
                if name.startswith(b"v:")
            }
            composed[request.path] = {
                name: f"!{request.rejected}" if request.rejected else digest(value)
                for name, value in request.members.items()
            }
    return wanted, composed


@given(messages=_plans, cut=st.integers(0, 25))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_grouping_leaves_what_the_rules_say(
    redis_client: Redis, messages: list[Message], cut: int
) -> None:
    services = prepared(redis_client)
    services.planning.messages(messages[:cut])
    for message in messages[cut:]:
        services.planning.put(message["type"], message["id"], message["body"])
    model = model_of(messages)
    for event_id, body in model.events.items():
        assert services.planning.get("event", event_id).body == body
    for job_id, body in model.jobs.items():
        assert services.planning.get("job", job_id).body == body
    states = services.planning.store.read(Ids(livestreams=LIVESTREAMS)).livestreams
    for livestream_id, state in states.items():
        # The model forgets who named a dropped livestream before.
        if livestream_id in model.owners:
            assert state.owners[0] == model.owners[livestream_id]
            event = services.planning.store.read(Ids(events=state.owners[:1])).events[state.owners[0]]
            job = services.planning.get("job", event.jobs[0]).body if event.jobs else None
            assert job == model.job_of(state.owners[0])
    wanted, composed = wanted_and_composed(services)
    assert wanted == composed
