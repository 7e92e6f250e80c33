"""A sink as a caller wrote it, divided into what may be shown and what is secret. Pure but for fresh
secrets."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.events.sinks import signatures
from app.events.sinks.base import Config
from app.platform.errors import InvalidInput


def divided(
    given: Config, public: Config | None = None, secrets: Config | None = None
) -> tuple[Config, Config]:
    """The public and the secret part of a sink that was given; `public` and `secrets` are those it had
    before.

    A webhook keeps its signing secrets, and the values of headers that are given as null: but only for the
    same host, so that a caller who may not see a value can't have it sent to a host of his own. Raises
    InvalidInput.
    """
    if given["type"] != "webhook":
        return given, {}
    before = public if public is not None and public["type"] == "webhook" else None
    known = (secrets or {}) if before is not None else {}
    values = _header_values(given, before, known)
    divided_public = {**given, "headers": list(values)} if "headers" in given else given
    return divided_public, {"signing": known.get("signing") or signatures.first(), "headers": values}


def with_values(public: Config, secrets: Config) -> Config:
    """A sink as it was given, header values included: what is checked before it is stored."""
    return {**public, "headers": secrets["headers"]} if "headers" in public else public


def without_query(sink: Config) -> Config:
    """As those see it who may not change it: a URL's query often holds a key."""
    url: str = sink.get("url", "")
    return {**sink, "url": url.partition("?")[0] + "?…"} if "?" in url else sink


def _header_values(given: Config, before: Config | None, known: Config) -> dict[str, str]:
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
