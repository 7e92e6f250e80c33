"""What a caller wrote of a sink, divided into what may be shown and what may not. Pure but for fresh secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from app.events.sinks import signatures
from app.events.subscriptions.model import Secrets
from app.platform.errors import InvalidInput

Public = dict[str, Any]


def settled(
    given: Mapping[str, Any],
    public: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
) -> tuple[Public, Secrets]:
    """The public and the secret part of a sink that was given; `public` and `secrets` are those it had before.

    A webhook keeps its signing secrets, and the values of headers that are given as null: but only for the same host, so
    that nobody who may not see a value can have it sent to himself. Raises InvalidInput.
    """
    if given["type"] != "webhook":
        return dict(given), {}
    before = public if public is not None and public["type"] == "webhook" else None
    known = (secrets or {}) if before is not None else {}
    values = _header_values(given, before, known)
    settled_public = {**given, "headers": list(values)} if "headers" in given else dict(given)
    return settled_public, {"signing": known.get("signing") or signatures.first(), "headers": values}


def with_values(public: Mapping[str, Any], secrets: Mapping[str, Any]) -> dict[str, Any]:
    """A sink as it was given, header values included: what is checked before it is stored."""
    return {**public, "headers": secrets["headers"]} if "headers" in public else dict(public)


def _header_values(
    given: Mapping[str, Any], before: Mapping[str, Any] | None, known: Mapping[str, Any]
) -> dict[str, str]:
    kept = {name.lower(): value for name, value in known.get("headers", {}).items()}
    same_host = before is not None and _origin(before["url"]) == _origin(given["url"])
    values: dict[str, str] = {}
    faults: list[tuple[str | None, str]] = []
    for name, value in (given.get("headers") or {}).items():
        if value is not None:
            values[name] = value
        elif name.lower() not in kept:
            faults.append(
                (f"sink.headers.{name}", "There is no stored value of this header to keep; give one.")
            )
        elif not same_host:
            faults.append((f"sink.headers.{name}", "The URL leads to another host now; give the value anew."))
        else:
            values[name] = kept[name.lower()]
    if faults:
        raise InvalidInput(faults)
    return values


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:  # refused by the sink's own check, which says why
        return url, None, None
    return parts.scheme, parts.hostname, port
