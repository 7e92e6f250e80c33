"""`subscriptions …`: who gets which events, and how it goes."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import click

from app.cli.output import ago, clean, facts, print_json, span
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import segment
from app.events.subscriptions.cli_options import config_of, config_options

SUBSCRIPTIONS: Final = "/api/subscriptions"
STATES: Final = ("active", "failing", "paused", "disabled")
OUTCOMES: Final = ("delivered", "failed", "handed_over", "parked", "disabled")
limit_option = click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many."
)
subscription_argument = click.argument("subscription_id")


def path_of(subscription_id: str, *more: str) -> str:
    return "/".join((SUBSCRIPTIONS, segment(subscription_id), *more))


@click.group()
def subscriptions() -> None:
    """Who gets which events: webhooks, SNS topics, Kinesis streams."""


# Looking --------------------


@subscriptions.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@limit_option
@view_options
@json_option
@pass_session
def list_(session: Session, state: str | None, limit: int, view: View, *, as_json: bool) -> None:
    """All subscriptions with their state and how far they are behind."""
    params = {"state": state, "limit": min(limit, 1000)}
    found = list(islice(session.client.pages(SUBSCRIPTIONS, "subscriptions", params), limit))
    if as_json:
        print_json(session.out, found)
        return
    columns = (
        identifier("id"),
        prose("name", 1, least=12),
        Column("state"),
        prose("to", 3),
        prose("topics", 3),
        Column("behind", 1),
        Column("delivered", 2),
        Column("parked", 2),
        prose("last error", 1, least=12),
    )
    rows = (
        (
            one["id"],
            one["name"],
            one["state"],
            target_of(one["sink"]),
            ", ".join(topic["topic"] for topic in one["topics"]),
            behind(one["lag"]),
            one["counters"].get("delivered", 0),
            one.get("parked", 0),
            (one.get("lastError") or {}).get("code"),
        )
        for one in found
    )
    listing(session, columns, rows, view)


@subscriptions.command()
@subscription_argument
@json_option
@pass_session
def show(session: Session, subscription_id: str, *, as_json: bool) -> None:
    """One subscription: its configuration, state, lag and counters."""
    found = session.client.get(path_of(subscription_id))
    if as_json:
        print_json(session.out, found)
        return
    shown = {name: value for name, value in found.items() if value not in (None, "", [], {})}
    session.out.print(facts(shown | {"lag": behind(found["lag"])}))


@subscriptions.command()
@subscription_argument
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only attempts that ended so.")
@limit_option
@view_options
@json_option
@pass_session
def deliveries(
    session: Session, subscription_id: str, outcome: str | None, limit: int, view: View, *, as_json: bool
) -> None:
    """The last attempts, the newest first: what was sent, what came back, how long it took."""
    params = {"outcome": outcome, "limit": min(limit, 1000)}
    pages = session.client.pages(path_of(subscription_id, "deliveries"), "deliveries", params)
    found = list(islice(pages, limit))
    if as_json:
        print_json(session.out, found)
        return
    columns = (
        Column("when"),
        Column("outcome"),
        identifier("topic", 2),
        Column("sequence", 1),
        identifier("event", 2),
        Column("attempt", 3),
        Column("status", 1),
        Column("ms", 3),
        prose("error", 1),
    )
    rows = (
        (
            ago(one["at"]),
            one["outcome"],
            one.get("topic"),
            one.get("sequence"),
            one.get("eventName"),
            one.get("attempt"),
            one.get("status"),
            one.get("latencyMs"),
            error_text(one.get("error")),
        )
        for one in found
    )
    listing(session, columns, rows, view)


# Changing --------------------


@subscriptions.command()
@config_options
@json_option
@pass_session
def create(session: Session, /, *, as_json: bool, **given: Any) -> None:
    """Make a subscription. A webhook's signing secret is printed this once."""
    made = session.client.post(SUBSCRIPTIONS, config_of(given))
    if as_json:
        print_json(session.out, made)
        return
    session.say(f"Subscription {made['id']} to {target_of(made['sink'])} is {made['state']}.")
    _print_secret(session, made.get("secret"))
    if not made.get("secret"):
        session.out.print(made["id"], markup=False)


@subscriptions.command()
@subscription_argument
@config_options
@json_option
@pass_session
def update(session: Session, /, subscription_id: str, *, as_json: bool, **given: Any) -> None:
    """Change what the options name; the rest stays, header values too. It goes on where it was."""
    before = session.client.get(path_of(subscription_id))
    changed = session.client.call(
        "PUT",
        path_of(subscription_id),
        body=config_of(given, before),
        if_match=f'"{before["revision"]}"',
    )
    if as_json:
        print_json(session.out, changed)
    else:
        session.say(f"Subscription {clean(subscription_id)} is changed (revision {changed['revision']}).")
        _print_secret(session, changed.get("secret"))


@subscriptions.command()
@subscription_argument
@click.option("--yes", is_flag=True, help="Don't ask.")
@pass_session
def delete(session: Session, subscription_id: str, *, yes: bool) -> None:
    """End a subscription. Its place in the topics is forgotten with it."""
    if not yes:
        click.confirm("Its place and what is parked are forgotten. Delete it?", abort=True, err=True)
    session.client.call("DELETE", path_of(subscription_id))
    session.say(f"Subscription {clean(subscription_id)} is deleted.")


@subscriptions.command("rotate-secret")
@subscription_argument
@click.option("--overlap", type=click.IntRange(0), help="Seconds for which the secret before stays valid.")
@json_option
@pass_session
def rotate_secret(session: Session, subscription_id: str, overlap: int | None, *, as_json: bool) -> None:
    """A new signing secret, printed this once. Both sign until the one before ends."""
    body = None if overlap is None else {"overlapSeconds": overlap}
    made = session.client.post(path_of(subscription_id, "secret", "rotate"), body)
    if as_json:
        print_json(session.out, made)
        return
    session.say(f"The secret before is valid until {made['previousValidUntil']}.")
    _print_secret(session, made["secret"])


def _print_secret(session: Session, secret: str | None) -> None:
    if secret:
        session.say("Its signing secret; keep it, it isn't shown again:")
        session.out.print(secret, markup=False, soft_wrap=True)


def target_of(sink: dict[str, Any]) -> str:
    """Where a sink leads, in a word."""
    return str(sink.get("url") or sink.get("topicArn") or sink.get("streamName"))


def behind(lag: dict[str, Any]) -> str:
    """A lag in words."""
    return f"{lag['events']} events, {span(lag['seconds'])}" if lag["events"] else "–"


def error_text(error: dict[str, Any] | None) -> str | None:
    return None if not error else f"{error.get('code')}: {error.get('detail')}"
