"""The two bodies of domain A4, composed a second time, from the domain page alone; nothing from `app`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Body = dict[str, Any]


class CannotBeComposed(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def booking(event: Mapping[str, Any], job: Mapping[str, Any] | None, _livestream_id: str) -> Body:
    """The pre-kick-off is that of the event's first livestream, whichever is registered."""
    if job is None:
        raise CannotBeComposed("no_job")
    consumers = event.get("livestreams") or [{}]
    return _given(
        bookingPreKOStartTime=_utc(consumers[0].get("preKoUtc")),
        bookingStartTime=_utc(job["jobInfo"].get("jobStart")),
        eventEndTime=_utc(event.get("eventEnd")),
    )


def source(event: Mapping[str, Any], job: Mapping[str, Any] | None, livestream_id: str) -> Body:
    """The transmission type is the registered livestream's; the addresses come from the job's DMHE resources."""
    if job is None:
        raise CannotBeComposed("no_job")
    registered = [
        consumer for consumer in event.get("livestreams") or () if consumer["livestreamId"] == livestream_id
    ]
    if not registered:
        raise CannotBeComposed("no_livestream")
    resources = _dmhe_resources(job.get("nodes") or ())
    if not resources:
        raise CannotBeComposed("no_dmhe_resource")
    by_destination: dict[str, list[Body]] = {}
    for resource in resources:
        entries = by_destination.setdefault(_property(resource, "Destination"), [])
        uri = _property(resource, "SourceUri")
        entries.append({"resource": resource["name"], "order": len(entries) + 1, "sourceUri": uri})
    return _given(
        txEventType=registered[0].get("txEventType"),
        heSourceChannelId=_property(resources[0], "SourceChannelId"),
        heSourceAddresses=[
            {"destination": to, "resources": entries} for to, entries in by_destination.items()
        ],
    )


def _dmhe_resources(nodes: Any) -> list[Mapping[str, Any]]:
    wanted = [
        node for node in nodes if node["nodeType"] in ("Resource", 2) and node.get("hidden") is not True
    ]
    if any("order" in node for node in wanted):
        wanted.sort(key=lambda node: int(node["order"]))
    return [node["resource"] for node in wanted if _is_on(_property(node["resource"], "DMHE"))]


def _property(resource: Mapping[str, Any], name: str) -> Any:
    return next((one["value"] for one in resource["properties"] if one["name"] == name), None)


def _is_on(value: Any) -> bool:
    """Present and not false, 0 or empty."""
    return str(value).lower() not in ("none", "false", "0", "")


def _utc(text: str | None) -> str | None:
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _given(**members: Any) -> Body:
    return {name: value for name, value in members.items() if value is not None}
