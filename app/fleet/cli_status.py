"""`status`: the fleet at a glance."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Final, NoReturn

import click
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.live import Live
from rich.text import Text

from app.cli.output import print_json, span
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, identifier, table
from app.client import ApiClient, ApiRefused, Unreachable
from app.fleet.cli import MEDIA
from app.fleet.cli import STATES as MEDIA_STATES
from app.outgoing.cli import DESTINATIONS, STATES
from app.platform.clock import utcnow
from app.settings import own_command

WATCH_S: Final = 2.0
METRICS: Final = "/metrics"
_COUNT: Final = "mediaops_requests"
_AGE: Final = "mediaops_oldest_request_age_seconds"
_HELD: Final = "mediaops_held_lanes"


@click.command()
@click.option("--watch", is_flag=True, help=f"Look again every {WATCH_S:g} s, until Ctrl-C.")
@json_option
@pass_session
def status(session: Session, *, watch: bool, as_json: bool) -> None:
    """Content media in step or not, requests in each state, the oldest of each, destinations."""
    if watch and as_json:
        raise click.UsageError("Give --watch or --json, not both.")
    if watch:
        _watch(session)
    found = read_status(session.client)
    if as_json:
        print_json(session.out, found)
    else:
        session.out.print(_shown(session.out, found), soft_wrap=True)


def _watch(session: Session) -> NoReturn:
    """In place on a terminal, one after another elsewhere. An API that is away is looked for again."""
    read_status(session.client)  # one that was never there ends it, with what to do
    with Live(console=session.out, auto_refresh=False) if session.out.is_terminal else nullcontext() as live:
        while True:
            try:
                found = _shown(session.out, read_status(session.client))
            except (Unreachable, ApiRefused) as error:
                if isinstance(error, ApiRefused) and not error.retryable:
                    raise
                found = Text(f"{error}; looking again.")
            found.append(f"\n{utcnow():%H:%M:%S} UTC, Ctrl-C ends it\n", "dim")
            if live is None:
                session.out.print(found, soft_wrap=True)
            else:
                live.update(found, refresh=True)
            time.sleep(WATCH_S)


def _shown(console: Console, found: dict[str, Any]) -> Text:
    media, requests = found["contentmedia"], found["requests"]
    parts = [
        table(
            console,
            (Column("content media"), Column("count")),
            ((name, media[name]) for name in MEDIA_STATES),
        ),
        table(
            console,
            (Column("requests"), Column("count"), Column("oldest")),
            ((name, one["count"], _age(one["oldestSeconds"])) for name, one in requests.items()),
        ),
        table(
            console,
            (identifier("destination"), *(Column(name) for name in ("state", "runnable", "live", "failed"))),
            (
                [one[name] for name in ("name", "state", "runnable", "live", "failed")]
                for one in found["destinations"]
            ),
        ),
    ]
    shown = Text("\n\n").join(Text("\n").join(part) for part in parts)
    if found["held"]:
        shown.append(
            f"\n\n{found['held']} content media are held by operators; `{own_command('contentmedia holds')}` lists them."
        )
    return shown


def read_status(client: ApiClient) -> dict[str, Any]:
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
