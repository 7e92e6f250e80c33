"""`schedules`: live jobs that are activated and deactivated at their times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import click

from app.cli.output import ago, facts, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import segment
from app.platform.clock import from_ms, parse_time, rfc3339, to_ms

URL: Final = "/v1/scheduler/jobstartstop"
UPCOMING: Final = "/api/custom/schedules/upcoming"
STATES: Final = ("pending", "finished", "failed", "cancelled")
_TASKS: Final = ("activation", "deactivation")


class Time(click.ParamType[int]):
    """An RFC 3339 time, or seconds since 1970: seconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int) or value.isdecimal():
            return int(value)
        try:
            return to_ms(parse_time(value)) // 1000
        except ValueError as error:
            self.fail(f"{error}", param, ctx)


@click.group()
def schedules() -> None:
    """Live jobs that are activated and deactivated at their times."""


account_option = click.option("--account", required=True, help="The account whose workflows they are.")


@schedules.command("list")
@account_option
@click.option("--state", type=click.Choice(STATES), help="Of either task.")
@click.option("--job", "job_id", help="Of this job.")
@click.option(
    "--start", type=Time(), help="Activations from this time on (RFC 3339, or seconds since 1970) …"
)
@click.option("--end", type=Time(), help="… and before this one.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@view_options
@json_option
@pass_session
def list_schedules(session: Session, /, limit: int, view: View, *, as_json: bool, **filters: Any) -> None:
    """Workflows of an account, by the time of their activation."""
    filters["account_id"] = filters.pop("account")
    found = list(islice(_workflows(session, filters), limit))
    if as_json:
        print_json(session.out, found)
        return
    rows = (
        (
            one["workflow_id"],
            one["job_id"],
            *(_task(one[name]) for name in _TASKS),
            one.get("description", ""),
        )
        for one in found
    )
    columns = (
        identifier("workflow"),
        identifier("job", 1),
        Column("activation"),
        Column("deactivation"),
        prose("description", 2),
    )
    listing(session, columns, rows, view)


@schedules.command()
@account_option
@click.argument("workflow_id")
@json_option
@pass_session
def show(session: Session, account: str, workflow_id: str, *, as_json: bool) -> None:
    """One workflow."""
    _print(session, session.client.get(_path(workflow_id), {"account_id": account}), as_json=as_json)


@schedules.command()
@account_option
@click.option("--job", "job_id", required=True, help="The job, which must be static.")
@click.option(
    "--start", type=Time(), required=True, help="When it is activated: RFC 3339, or seconds since 1970."
)
@click.option("--stop", type=Time(), required=True, help="When it is deactivated.")
@click.option("--description")
@click.option("--notification-url", help="Told of each activation and deactivation.")
@click.option(
    "--catch-up", metavar="RULE", help="Of a missed activation: until-deactivation, none, or seconds."
)
@json_option
@pass_session
def create(
    session: Session,
    /,
    account: str,
    start: int,
    stop: int,
    catch_up: str | None,
    *,
    as_json: bool,
    **given: Any,
) -> None:
    """Have a job activated and deactivated."""
    body = {name: value for name, value in given.items() if value is not None}
    body |= {"activation": {"time_utc": start}, "deactivation": {"time_utc": stop}}
    if catch_up is not None:
        body["catchUp"] = int(catch_up) if catch_up.isdecimal() else catch_up
    made = session.client.call("POST", URL, params={"account_id": account}, body=body)
    _print(session, made, as_json=as_json)


@schedules.command()
@account_option
@click.argument("workflow_id")
@click.option("--start", type=Time(), help="When it is to be activated.")
@click.option("--stop", type=Time(), help="When it is to be deactivated.")
@json_option
@pass_session
def move(
    session: Session, account: str, workflow_id: str, start: int | None, stop: int | None, *, as_json: bool
) -> None:
    """Change the times of what is still pending: both that are given, or none."""
    if start is None and stop is None:
        raise click.UsageError("Give --start, --stop or both.")
    times = zip(_TASKS, (start, stop), strict=True)
    body = {name: {"time_utc": at} for name, at in times if at is not None}
    _print(
        session,
        session.client.call("PUT", _path(workflow_id), params={"account_id": account}, body=body),
        as_json=as_json,
    )


@schedules.command()
@account_option
@click.argument("workflow_id")
@json_option
@pass_session
def cancel(session: Session, account: str, workflow_id: str, *, as_json: bool) -> None:
    """Cancel what is still pending."""
    answer = session.client.call("DELETE", _path(workflow_id), params={"account_id": account})
    _print(session, answer, as_json=as_json)


@schedules.command()
@click.option("--hours", type=click.FloatRange(0, 24 * 366), default=24.0, show_default=True)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many."
)
@view_options
@json_option
@pass_session
def preview(session: Session, hours: float, limit: int, view: View, *, as_json: bool) -> None:
    """What fires in the next hours, of all accounts."""
    found = session.client.get(UPCOMING, {"hours": hours, "limit": limit})["upcoming"]
    if as_json:
        print_json(session.out, found)
        return
    rows = (
        (
            one["at"],
            ago(one["at"]),
            one["what"],
            one["workflow"]["job_id"],
            one["workflow"]["account_id"],
            one["workflow"]["workflow_id"],
        )
        for one in found
    )
    columns = (
        Column("at"),
        Column("", 1),
        Column("what"),
        identifier("job"),
        identifier("account", 2),
        identifier("workflow", 3),
    )
    listing(session, columns, rows, view)


def _path(workflow_id: str) -> str:
    return f"{URL}/{segment(workflow_id)}"


def _workflows(session: Session, filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    given = dict(filters)
    while True:
        page = session.client.get(URL, given)
        yield from page["workflows"]
        if page["next_token"] is None:
            return
        given["start_token"] = page["next_token"]


def _task(task: Mapping[str, Any]) -> str:
    reason = f" ({task['reason']})" if "reason" in task else ""
    return f"{_time(task['time_utc'])} {task['state']}{reason}"


def _time(seconds: int) -> str:
    return rfc3339(from_ms(seconds * 1000))


def _print(session: Session, workflow: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(session.out, workflow)
        return
    for name in _TASKS:
        workflow[name] = _task(workflow[name])
    session.out.print(facts(workflow))
