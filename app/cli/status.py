"""`status`: the fleet at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import click
from prometheus_client.parser import text_string_to_metric_families

from app.cli.admin import DESTINATIONS
from app.cli.media import MEDIA
from app.cli.media import STATES as MEDIA_STATES
from app.cli.output import print_json, span, table
from app.cli.requests import STATES
from app.cli.session import Session, json_option, pass_session
from app.client import Client

METRICS: Final = "/metrics"
_COUNT: Final = "mediaops_requests"
_AGE: Final = "mediaops_oldest_request_age_seconds"
_HELD: Final = "mediaops_held_lanes"


@click.command()
@json_option
@pass_session
def status(session: Session, *, as_json: bool) -> None:
    """Content media in step or not, requests in each state, the oldest of each, destinations."""
    found = read_status(session.client)
    if as_json:
        print_json(session.out, found)
        return
    media, requests = found["contentmedia"], found["requests"]
    session.out.print(table(("content media", "count"), ((name, media[name]) for name in MEDIA_STATES)))
    session.out.print()
    rows = ((name, one["count"], _age(one["oldestSeconds"])) for name, one in requests.items())
    session.out.print(table(("requests", "count", "oldest"), rows))
    session.out.print()
    columns = ("destination", "state", "runnable", "live", "failed")
    session.out.print(
        table(columns, ([one[c] for c in ("name", *columns[1:])] for one in found["destinations"]))
    )
    if found["held"]:
        session.out.print(f"\n{found['held']} content media are held by operators.")


def read_status(client: Client) -> dict[str, Any]:
    """What `status` shows; `up` shows it while the samples get in step."""
    numbers = _samples(client.text(METRICS))
    media = Counter(one["state"] for one in client.pages(MEDIA, "contentmedia", {"limit": 1000}))
    return {
        "contentmedia": {name: media[name] for name in MEDIA_STATES},
        "requests": {name: _state(numbers, name) for name in STATES},
        "destinations": list(client.pages(DESTINATIONS, "destinations")),
        "held": int(numbers.get((_HELD, ""), 0)),
    }


def _state(numbers: Mapping[tuple[str, str], float], name: str) -> dict[str, Any]:
    return {"count": int(numbers.get((_COUNT, name), 0)), "oldestSeconds": numbers.get((_AGE, name))}


def _samples(text: str) -> dict[tuple[str, str], float]:
    """(metric, its label `state` or "") → value, of the metrics shown here."""
    return {
        (sample.name, sample.labels.get("state", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in (_COUNT, _AGE, _HELD)
    }


def _age(seconds: float | None) -> str:
    return "–" if seconds is None else span(seconds)
