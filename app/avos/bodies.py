"""The two bodies that AVOS is sent, from a stored event and job. Pure functions.

A member that planning has no value for is ABSENT, never null and never year 1. `lastModified` is
not part of these: it is added when the request is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.outgoing.model import ABSENT
from app.platform.clock import parse_time, rfc3339

_RESOURCE_TYPE: Final = ("resource", "2")  # by name or by number

Members = dict[str, Any]
Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PropertyNames:
    """Which properties of a resource mean what; compared without regard to case."""

    dmhe: str = "DMHE"
    destination: str = "Destination"
    source_uri: str = "SourceUri"
    source_channel: str = "SourceChannelId"


class CannotCompose(Exception):
    """Planning hasn't what this body needs. `code` is `no_job`, `no_livestream` or
    `no_dmhe_resource`, and becomes the code of a rejected record."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def booking_body(event: Mapping[str, Any], job: Mapping[str, Any] | None) -> Members:
    """Members of the PATCH to the content media. Raises CannotCompose (`no_job`).

    The pre-kick-off time is that of the event's *first* livestream, whichever is registered.
    """
    if job is None:
        raise CannotCompose("no_job")
    livestreams = event.get("livestreams") or [{}]
    return {
        "bookingPreKOStartTime": _time(livestreams[0].get("preKoUtc")),
        "bookingStartTime": _time((job.get("jobInfo") or {}).get("jobStart")),
        "eventEndTime": _time(event.get("eventEnd")),
    }


def source_body(
    event: Mapping[str, Any],
    livestream_id: str,
    job: Mapping[str, Any] | None,
    names: PropertyNames,
) -> Members:
    """Members of the PATCH to its sourceMedia. Raises CannotCompose."""
    if job is None:
        raise CannotCompose("no_job")
    livestream = _livestream(event, livestream_id)
    if livestream is None:
        raise CannotCompose("no_livestream")
    resources = _dmhe_resources(job, names)
    if not resources:
        raise CannotCompose("no_dmhe_resource")
    return {
        "txEventType": _or_absent(livestream.get("txEventType")),
        "heSourceChannelId": _or_absent(_text(resources[0][1], names.source_channel)),
        "heSourceAddresses": _addresses(resources, names),
    }


def is_set(value: Any) -> bool:
    """False for a value that is missing, false, zero or empty, however it is spelled: `"False"`,
    `"0.0"`, `" "`."""
    if isinstance(value, str):
        text = value.strip().casefold()
        return text not in ("", "false") and not _is_zero(text)
    return bool(value)


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _livestream(event: Mapping[str, Any], livestream_id: str) -> Mapping[str, Any] | None:
    found: Iterable[Mapping[str, Any]] = (
        entry for entry in event.get("livestreams") or () if entry.get("livestreamId") == livestream_id
    )
    return next(iter(found), None)


def _dmhe_resources(
    job: Mapping[str, Any], names: PropertyNames
) -> list[tuple[Mapping[str, Any], Properties]]:
    """The job's visible Resource nodes with a set DMHE property, in configured order."""
    found = []
    for node in sorted(job.get("nodes") or (), key=_order):
        resource = node.get("resource")
        if not _is_resource(node) or is_set(node.get("hidden")) or not resource:
            continue
        properties = _properties(resource.get("properties") or ())
        if is_set(properties.get(names.dmhe.casefold())):
            found.append((resource, properties))
    return found


def _is_resource(node: Mapping[str, Any]) -> bool:
    return str(node.get("nodeType")).strip().casefold() in _RESOURCE_TYPE


def _order(node: Mapping[str, Any]) -> float:
    """Nodes without an order come last, as listed (the sort is stable)."""
    order = node.get("order")
    return float(order) if isinstance(order, int | float) and not isinstance(order, bool) else float("inf")


def _properties(properties: Sequence[Mapping[str, Any]]) -> Properties:
    """By folded name; of two with one name the first counts."""
    by_name: dict[str, Any] = {}
    for entry in properties:
        by_name.setdefault(str(entry.get("name")).casefold(), entry.get("value"))
    return by_name


def _addresses(
    resources: Sequence[tuple[Mapping[str, Any], Properties]], names: PropertyNames
) -> list[dict[str, Any]]:
    """Grouped by destination, in the order of each destination's first resource, numbered from 1 in
    each."""
    groups: dict[str | None, list[dict[str, Any]]] = {}
    for resource, properties in resources:
        entries = groups.setdefault(_text(properties, names.destination), [])
        entry = {
            "resource": resource.get("name"),
            "order": len(entries) + 1,
            "sourceUri": _text(properties, names.source_uri),
        }
        entries.append({name: value for name, value in entry.items() if value is not None})
    return [
        {"resources": entries} if destination is None else {"destination": destination, "resources": entries}
        for destination, entries in groups.items()
    ]


def _text(properties: Properties, name: str) -> str | None:
    """A property's value as text; None where there is none. Numbers are written out."""
    value = properties.get(name.casefold())
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    return text if text.strip() else None


def _or_absent(value: Any) -> Any:
    return ABSENT if value is None or value == "" else value


def _time(value: Any) -> Any:
    """UTC with `Z`, or ABSENT: for nothing, for what isn't a time, and for year 1."""
    if not isinstance(value, str) or not value:
        return ABSENT
    try:
        return rfc3339(parse_time(value))
    except (ValueError, OverflowError):
        return ABSENT
