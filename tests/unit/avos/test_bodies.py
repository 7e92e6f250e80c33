"""The two bodies, field by field, against the domain page's rules."""

from __future__ import annotations

from typing import Any

import pytest

from app.avos.bodies import CannotCompose, PropertyNames, booking_body, is_set, source_body
from app.outgoing.model import ABSENT

NAMES = PropertyNames()


def node(name: str | None = "ResourceA", *, order: Any = None, **properties: Any) -> dict[str, Any]:
    """A Resource node; property values None are left out. `type_` and `hidden` are the node's own."""
    made: dict[str, Any] = {"nodeId": name, "nodeType": properties.pop("type_", "Resource")}
    if "hidden" in properties:
        made["hidden"] = properties.pop("hidden")
    if order is not None:
        made["order"] = order
    values = {"DMHE": "true", "Destination": "d1", "SourceUri": f"http://example.com/{name}"} | properties
    made["resource"] = {
        "name": name,
        "properties": [{"name": key, "value": value} for key, value in values.items() if value is not None],
    }
    return made


def event(**members: Any) -> dict[str, Any]:
    livestreams = [
        {"livestreamId": "L1", "preKoUtc": "2026-11-21T20:30:00+01:00", "txEventType": "Update"},
        {"livestreamId": "L2", "preKoUtc": "2026-11-21T21:00:00Z", "txEventType": "New"},
    ]
    return {"name": "Home - Away", "eventEnd": "2026-11-21T21:45:00Z", "livestreams": livestreams} | members


def job(*nodes: dict[str, Any], start: Any = "2026-11-21T18:00:00Z") -> dict[str, Any]:
    return {"eventId": "ev-1", "jobInfo": {"jobStart": start}, "nodes": list(nodes)}


def addresses(*nodes: dict[str, Any], names: PropertyNames = NAMES) -> Any:
    return source_body(event(), "L1", job(*nodes), names)["heSourceAddresses"]


def test_booking_takes_the_first_livestream_the_job_start_and_the_event_end() -> None:
    assert booking_body(event(), job()) == {
        "bookingPreKOStartTime": "2026-11-21T19:30:00Z",
        "bookingStartTime": "2026-11-21T18:00:00Z",
        "eventEndTime": "2026-11-21T21:45:00Z",
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-11-21T19:30:00Z", "2026-11-21T19:30:00Z"),
        ("2026-11-21T19:30:00.250+01:00", "2026-11-21T18:30:00.250Z"),
        ("2026-11-21T19:30:00", "2026-11-21T19:30:00Z"),
        (None, ABSENT),
        ("", ABSENT),
        ("0001-01-01T00:00:00Z", ABSENT),
        ("0001-01-01T00:00:00+01:00", ABSENT),
        ("soon", ABSENT),
        (0, ABSENT),
    ],
)
def test_times_are_sent_in_utc_and_missing_ones_not_at_all(given: Any, sent: Any) -> None:
    assert booking_body(event(), job(start=given))["bookingStartTime"] is sent or (
        booking_body(event(), job(start=given))["bookingStartTime"] == sent
    )


def test_what_planning_does_not_have_is_absent() -> None:
    assert set(booking_body({"name": "x"}, {"eventId": "x"}).values()) == {ABSENT}
    assert set(booking_body({"livestreams": []}, {"jobInfo": None}).values()) == {ABSENT}


def test_source_takes_the_registered_livestreams_type() -> None:
    body = source_body(event(), "L2", job(node(SourceChannelId="channel123")), NAMES)
    assert body == {
        "txEventType": "New",
        "heSourceChannelId": "channel123",
        "heSourceAddresses": [
            {
                "destination": "d1",
                "resources": [
                    {"resource": "ResourceA", "order": 1, "sourceUri": "http://example.com/ResourceA"}
                ],
            }
        ],
    }


def test_resources_are_grouped_in_configured_order_and_numbered_in_each_destination() -> None:
    made = addresses(
        node("C", order=3, Destination="d2"),
        node("A", order=1, Destination="d1"),
        node("B", order=2, Destination="d2"),
        node("D", order=10, Destination="d1"),
    )
    assert [
        (group["destination"], [(entry["resource"], entry["order"]) for entry in group["resources"]])
        for group in made
    ] == [("d1", [("A", 1), ("D", 2)]), ("d2", [("B", 1), ("C", 2)])]


def test_nodes_without_an_order_keep_their_place_behind_those_with_one() -> None:
    made = addresses(node("A"), node("B"), node("C", order=5))
    assert [entry["resource"] for entry in made[0]["resources"]] == ["C", "A", "B"]


@pytest.mark.parametrize(
    "left_out",
    [
        node(type_="Source"),
        node(type_="ResourcePool"),
        node(type_=3),
        node(type_=None),
        node(hidden=True),
        node(hidden="true"),
        node(DMHE=None),
        {"nodeType": "Resource"},
        {"nodeType": "Resource", "resource": None},
        {"nodeType": "Resource", "resource": {"name": "x"}},
    ],
)
def test_other_nodes_hidden_ones_and_those_without_dmhe_are_left_out(left_out: dict[str, Any]) -> None:
    with pytest.raises(CannotCompose, match="no_dmhe_resource"):
        addresses(left_out)


@pytest.mark.parametrize("kept", [node(type_=2), node(type_="2"), node(type_="RESOURCE"), node(hidden=False)])
def test_a_resource_is_known_by_name_or_number(kept: dict[str, Any]) -> None:
    assert addresses(kept)[0]["resources"][0]["resource"] == "ResourceA"


@pytest.mark.parametrize("value", [True, "true", "1", 1, "yes", "no", "nan", [0], 0.5])
def test_a_dmhe_property_counts(value: Any) -> None:
    assert is_set(value)
    assert addresses(node(DMHE=value))


@pytest.mark.parametrize(
    "value", [False, "false", "False", " FALSE ", 0, 0.0, "0", "0.0", "", "  ", None, [], {}]
)
def test_a_dmhe_property_that_is_false_zero_or_empty_does_not_count(value: Any) -> None:
    assert not is_set(value)
    entry = node()
    entry["resource"]["properties"][0]["value"] = value
    with pytest.raises(CannotCompose, match="no_dmhe_resource"):
        addresses(entry)


def test_property_names_are_settings_and_have_no_case() -> None:
    names = PropertyNames(dmhe="IsHeadEnd", destination="To", source_uri="Uri", source_channel="Channel")
    given = node("A", DMHE=None, Destination=None, SourceUri=None, isheadend=1, TO="d", uri="u", CHANNEL=7)
    body = source_body(event(), "L1", job(given), names)
    assert body["heSourceChannelId"] == "7"
    assert body["heSourceAddresses"] == [
        {"destination": "d", "resources": [{"resource": "A", "order": 1, "sourceUri": "u"}]}
    ]


def test_the_channel_is_that_of_the_first_dmhe_resource_only() -> None:
    body = source_body(event(), "L1", job(node("B", order=2, SourceChannelId="x"), node("A", order=1)), NAMES)
    assert body["heSourceChannelId"] is ABSENT


def test_missing_members_of_a_resource_are_left_out() -> None:
    assert addresses(node(None, Destination=None, SourceUri=None)) == [{"resources": [{"order": 1}]}]


def test_bodies_that_cannot_be_composed_say_why() -> None:
    for code, args in {
        "no_job": (event(), "L1", None),
        "no_livestream": (event(), "l1", job(node())),
        "no_dmhe_resource": (event(), "L1", job()),
    }.items():
        with pytest.raises(CannotCompose) as caught:
            source_body(*args, NAMES)
        assert caught.value.code == code
    with pytest.raises(CannotCompose, match="no_job"):
        booking_body(event(), None)
