"""`doctor`: is everything as it must be, and if not, what to do about it.

It looks at the parts themselves (settings, Redis, queues, API, AVOS), so it works where the API doesn't.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import click

from app.cli.checks import (
    check_api,
    check_packages,
    check_queues,
    check_redis,
    check_settings,
    check_work,
)
from app.cli.output import clean, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, listing, prose
from app.packages import build
from app.settings import InvalidSettings, Settings
from app.watch.evaluation import WatchFinding


@click.command()
@json_option
@pass_session
def doctor(session: Session, *, as_json: bool) -> None:
    """Check settings, Redis (version, persistence, memory, clock), queues, workers, ticks, the API and AVOS.

    Exit code 0: nothing found, or warnings only; 1: something is wrong.
    """
    findings = _all(session)
    if as_json:
        print_json(session.out, [dataclasses.asdict(one) for one in findings])
    else:
        rows = ((one.what, one.state, one.detail) for one in findings)
        listing(session, (Column("check"), Column("state"), prose("what was seen")), rows)
        for one in findings:
            if one.way_out:
                session.out.print(
                    f"\n{clean(one.what)}: {clean(one.detail)}. {clean(one.way_out)}", markup=False
                )
    click.get_current_context().exit(1 if any(one.state == "bad" for one in findings) else 0)


def _all(session: Session) -> list[WatchFinding]:
    try:
        settings = session.settings
    except InvalidSettings as error:
        return [
            WatchFinding("settings", "bad", f"{name}: {' '.join(texts)}", "Correct it and start again.")
            for name, texts in sorted(error.problems.items())
        ]
    with session.err.status("Looking …"):
        return list(_with(settings, session.url or settings.api_url))


def _with(settings: Settings, api_url: str) -> Iterable[WatchFinding]:
    yield from check_settings(settings)
    redis = list(check_redis(settings))
    yield from redis
    store_answers = redis[0].state == "ok"
    if store_answers:
        yield from check_queues(settings)
        yield from check_work(settings)
    yield from check_packages(build(settings), store_answers=store_answers)
    yield check_api(api_url)
