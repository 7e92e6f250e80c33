"""The four registration endpoints: exact texts, codes and headers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.planning.conftest import Caller, Services

BASE = "/api/custom/livestreams"


def register(api: Caller, livestream_id: str = "L1", content_media_id: Any = "C1") -> Any:
    return api(
        "POST",
        f"{BASE}/registrations",
        query_string={"livestreamId": livestream_id},
        json={"contentMediaId": content_media_id},
    )


@pytest.fixture
def planned(services: Services) -> None:
    services.put_event(livestreams=("L1", "L2"))
    services.put_job()


@pytest.mark.usefixtures("planned")
def test_a_registration_is_created_updated_ended_and_reactivated(api: Caller) -> None:
    made = register(api)
    assert made.status_code == 201
    assert set(made.json) == {
        "livestreamId",
        "contentMediaId",
        "createdAt",
        "updatedAt",
        "deletedAt",
        "requestIds",
    }
    assert (made.json["deletedAt"], len(made.json["requestIds"])) == (None, 2)
    assert register(api).status_code == 200
    listed = api("GET", f"{BASE}/registrations/active")
    assert listed.json == {"activeLivestreams": [{"livestreamId": "L1", "contentMediaId": "C1"}]}
    pair = {"livestreamId": "L1", "contentMediaId": "C1"}
    ended = api("DELETE", f"{BASE}/registrations", query_string=pair)
    assert (ended.status_code, ended.json["requestIds"]) == (200, [])
    assert ended.json["deletedAt"]
    assert api("GET", f"{BASE}/registrations/active").json == {"activeLivestreams": []}
    assert api("DELETE", f"{BASE}/registrations", query_string=pair).status_code == 404
    assert register(api).status_code == 201


def test_refusals_have_the_exact_texts(api: Caller, services: Services) -> None:
    def said(answer: Any) -> tuple[int, str, str]:
        return answer.status_code, answer.json["detail"], answer.json["errors"][0]["detail"]

    assert said(register(api)) == (404, *["Livestream not found"] * 2)
    services.put_event(livestreams=("L1", "L2"))
    assert said(register(api)) == (404, *["Event has no Job attached"] * 2)
    services.put_job()
    register(api)
    assert said(register(api, "L2")) == (400, *["Content Media Already Registered"] * 2)


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ({}, {"contentMediaId": "C"}, "livestreamId"),
        ({"livestreamId": ""}, {"contentMediaId": "C"}, "livestreamId"),
        ({"livestreamId": ["a", "b"]}, {"contentMediaId": "C"}, "livestreamId"),
        ({"livestreamId": "L1", "x": "1"}, {"contentMediaId": "C"}, "x"),
        ({"livestreamId": "x" * 2000}, {"contentMediaId": "C"}, "livestreamId"),
        ({"livestreamId": "L1"}, {}, "contentMediaId"),
        ({"livestreamId": "L1"}, {"contentMediaId": ""}, "contentMediaId"),
        ({"livestreamId": "L1"}, {"contentMediaId": 5}, "contentMediaId"),
        ({"livestreamId": "L1"}, {"contentMediaId": ".."}, "contentMediaId"),
        ({"livestreamId": "L1"}, {"contentMediaId": "a\x00"}, "contentMediaId"),
        ({"livestreamId": "L1"}, {"contentMediaId": "C", "y": 1}, "y"),
    ],
)
@pytest.mark.usefixtures("planned")
def test_bad_input_is_answered_with_the_field(
    api: Caller, query: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    answer = api("POST", f"{BASE}/registrations", query_string=query, json=body)
    assert (answer.status_code, answer.json["field"]) == (400, field)


@pytest.mark.usefixtures("planned")
def test_a_forced_update_is_accepted_and_never_cached(api: Caller) -> None:
    register(api)
    answer = api("GET", f"{BASE}/update?contentMediaId=c1")
    assert answer.status_code == 202
    assert len(answer.json["requestIds"]) == 2
    assert answer.headers["Location"] == f"/api/custom/requests/{answer.json['requestIds'][1]}"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_forced_update_refuses_what_is_not_registered_or_not_named(api: Caller) -> None:
    assert api("GET", f"{BASE}/update?contentMediaId=C1").status_code == 404
    missing = api("GET", f"{BASE}/update")
    assert (missing.status_code, missing.json["field"]) == (400, "contentMediaId")


@pytest.mark.usefixtures("planned")
def test_looking_at_the_update_s_head_queues_nothing(api: Caller, services: Services) -> None:
    register(api)
    before = services.outgoing.accepts
    assert api("HEAD", f"{BASE}/update?contentMediaId=C1").status_code == 405
    assert services.outgoing.accepts == before


def test_the_update_call_needs_the_right_to_write(api: Caller) -> None:
    reader = api.tokens.create("reader", ["read"]).secret
    assert api("GET", f"{BASE}/update?contentMediaId=C1", token=reader).status_code == 403
    assert api("GET", f"{BASE}/registrations/active", token=reader).status_code == 200
