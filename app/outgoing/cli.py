"""`requests`: outgoing requests, one or all that match. `destinations`: where they go to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

import click

from app.cli.output import ago, clean, facts, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import ApiRefused, Params, segment
from app.settings import own_command

REQUESTS: Final = "/api/custom/requests"
DESTINATIONS: Final = "/api/custom/destinations"
OPERATIONS: Final = "/api/custom/operations"
STATES: Final = ("pending", "live", "failed", "delivered", "rejected", "expired", "superseded", "discarded")
_POLL_S: Final = 0.3
_MEMBERS: Final = {
    "state": "state",
    "content_media": "contentMediaId",
    "method": "method",
    "error": "error",
    "created_after": "createdAfter",
}
F = TypeVar("F", bound=Callable[..., Any])
Filter = dict[str, str]


def filter_options(command: F) -> F:
    """The list's filter, as options."""
    options = (
        click.option("--state", type=click.Choice(STATES), help="Only requests in this state."),
        click.option("--content-media", metavar="C", help="Only those of this content media."),
        click.option("--method", type=click.Choice(("POST", "PUT", "PATCH", "DELETE"), case_sensitive=False)),
        click.option("--error", metavar="CODE", help="Only those with this error code, such as timeout."),
        click.option(
            "--created-after", metavar="TIME", help="Only those accepted since, such as 2026-11-21T19:30:00Z."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _filter(given: Mapping[str, str | None]) -> Filter:
    return {_MEMBERS[name]: value for name, value in given.items() if value is not None}


@click.group()
def requests() -> None:
    """Look at outgoing requests, retry or discard them."""


@requests.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@view_options
@json_option
@pass_session
def list_(session: Session, /, limit: int, view: View, *, as_json: bool, **given: str | None) -> None:
    """Requests, the newest first."""
    params: Params = {**_filter(given), "limit": min(limit, 1000)}
    found = list(islice(session.client.pages(REQUESTS, "requests", params), limit))
    if as_json:
        print_json(session.out, found)
        return
    columns = (
        identifier("id"),
        Column("state"),
        Column("kind", 2),
        identifier("content media / path"),
        Column("tries", 3),
        Column("created", 2),
        Column("next try", 1),
        Column("error", 1),
    )
    rows = (
        (
            one["id"],
            one["state"],
            f"{one['method']} {one['kind']}",
            one.get("contentMediaId") or one["path"],
            one["attemptCount"],
            ago(one["createdAt"]),
            _next(one.get("nextTryAt")),
            (one.get("error") or {}).get("code"),
        )
        for one in found
    )
    listing(session, columns, rows, view)
    if len(found) == limit:
        session.say(f"The newest {limit}; --limit shows more.")


def _next(instant: str | None) -> str:
    """A time that has passed is a turn that comes soon."""
    return "due" if instant and ago(instant).endswith("ago") else ago(instant)


@requests.command()
@click.argument("request_id")
@click.option(
    "--wait", type=click.FloatRange(0, 30), default=0.0, help="Wait so many seconds for a final state."
)
@json_option
@pass_session
def show(session: Session, request_id: str, wait: float, *, as_json: bool) -> None:
    """One request with every attempt: when, what was sent, what came back."""
    record = session.client.get(f"{REQUESTS}/{segment(request_id)}", {"wait": f"{wait:g}"} if wait else None)
    if as_json:
        print_json(session.out, record)
        return
    attempts = record.pop("attempts", None) or []
    session.out.print(facts({name: value for name, value in record.items() if value not in (None, "", [])}))
    for number, attempt in enumerate(attempts, 1):
        session.out.print(f"\nattempt {number} of those kept", style="bold")
        session.out.print(facts(attempt))


def _verb(name: str, text: str, dangerous: str | None = None) -> None:
    @requests.command(name, help=text)
    @click.argument("request_ids", nargs=-1)
    @filter_options
    @click.option("--all", "everything", is_flag=True, help="All requests, without a filter.")
    @click.option("--yes", is_flag=True, help="Don't ask.")
    @click.option("--no-wait", is_flag=True, help="Don't wait for the end; print the operation's id.")
    @json_option
    @pass_session
    def command(
        session: Session,
        /,
        request_ids: tuple[str, ...],
        *,
        everything: bool,
        yes: bool,
        no_wait: bool,
        as_json: bool,
        **given: str | None,
    ) -> None:
        wanted = _filter(given)
        if request_ids and (wanted or everything):
            raise click.UsageError("Give ids or a filter, not both.")
        if not (request_ids or wanted or everything):
            raise click.UsageError("Give ids, or a filter such as --state failed, or --all.")
        if request_ids:
            _each(session, name, request_ids, as_json=as_json)
            return
        if dangerous and not yes:
            click.confirm(dangerous, abort=True, err=True)
        operation = session.client.post(f"{REQUESTS}/{name}", wanted)
        if not no_wait:
            operation = follow(session, operation)
        if as_json:
            print_json(session.out, operation)
        elif no_wait:
            session.out.print(operation["id"])
            session.say(f"`{own_command('requests operation')} {operation['id']}` shows how far it is.")
        else:
            session.out.print(facts({"changed": operation["changed"], "refused": operation["refused"]}))


_verb(
    "retry",
    "Try requests again: REQUEST_IDS, or all that match. Their age starts anew, their deadline is waived.",
)
_verb(
    "discard",
    "Give requests up: REQUEST_IDS, or all that match. They stay in the history and can be retried.",
    "They won't be sent. Discard all that match?",
)


@requests.command()
@click.argument("operation_id")
@click.option("--wait", is_flag=True, help="Follow it to its end.")
@json_option
@pass_session
def operation(session: Session, operation_id: str, *, wait: bool, as_json: bool) -> None:
    """How far a retry or discard of all that match has come."""
    found = session.client.get(f"{OPERATIONS}/{segment(operation_id)}")
    found = follow(session, found) if wait else found
    if as_json:
        print_json(session.out, found)
    else:
        session.out.print(facts(found))


def follow(session: Session, operation: dict[str, Any]) -> dict[str, Any]:
    """Wait for a background operation's end, showing how far it is."""
    with session.err.status("Working …") as spinner:
        while operation["state"] == "running":
            spinner.update(f"{operation['changed']} changed, {operation['refused']} refused …")
            time.sleep(_POLL_S)
            operation = session.client.get(f"{OPERATIONS}/{segment(operation['id'])}")
    return operation


def _each(session: Session, verb: str, request_ids: tuple[str, ...], *, as_json: bool) -> None:
    """One by one: a refused one doesn't keep the others."""
    done: list[Any] = []
    refused = 0
    for request_id in request_ids:
        try:
            done.append(session.client.post(f"{REQUESTS}/{segment(request_id)}/{verb}"))
        except ApiRefused as error:
            if error.status not in (400, 404, 409):
                raise
            refused += 1
            session.say(f"{clean(request_id)}: {clean(error.detail)}")
    if as_json:
        print_json(session.out, done)
    else:
        listing(session, (identifier("id"), Column("state")), ((one["id"], one["state"]) for one in done))
    click.get_current_context().exit(1 if refused else 0)


@click.group()
def destinations() -> None:
    """Where requests go to: see, pause and resume."""


@destinations.command("list")
@view_options
@json_option
@pass_session
def list_destinations(session: Session, view: View, *, as_json: bool) -> None:
    """Each destination: open or paused, what waits, is live and has failed."""
    found = list(session.client.pages(DESTINATIONS, "destinations"))
    if as_json:
        print_json(session.out, found)
        return
    columns = (
        identifier("name"),
        Column("state"),
        prose("why", 1, least=8),
        Column("runnable", 2),
        Column("live", 2),
        Column("failed", 2),
        Column("at most live", 4),
        prose("paused", 3),
    )
    rows = (
        (
            one["name"],
            one["state"],
            one.get("reason"),
            one["runnable"],
            one["live"],
            one["failed"],
            one["maxInFlight"],
            f"by {one['pausedBy']}, {ago(one['pausedAt'])}" if one.get("pausedAt") else None,
        )
        for one in found
    )
    listing(session, columns, rows, view)


@destinations.command()
@click.argument("name")
@pass_session
def pause(session: Session, name: str) -> None:
    """Send nothing more to NAME until it is resumed; nothing is lost or grows old."""
    session.client.post(f"{DESTINATIONS}/{segment(name)}/pause")
    session.say(f"{clean(name)} is paused; `{own_command('destinations resume')} {clean(name)}` goes on.")


@destinations.command()
@click.argument("name")
@pass_session
def resume(session: Session, name: str) -> None:
    """Go on with what waited for NAME."""
    session.client.post(f"{DESTINATIONS}/{segment(name)}/resume")
    session.say(f"{clean(name)} goes on.")
