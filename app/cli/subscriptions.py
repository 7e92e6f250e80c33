"""`subscriptions …`: who gets which events, and how it goes."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any, Final

import click

from app.cli.output import ago, clean, facts, print_json, span
from app.cli.session import Session, json_option, pass_session
from app.cli.subscription_options import config_of, config_options
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import segment
from app.events.subscriptions.presentation import lost_of
from app.settings import own_command

SUBSCRIPTIONS: Final = "/api/subscriptions"
STATES: Final = ("active", "failing", "paused", "disabled")
OUTCOMES: Final = ("delivered", "failed", "handed_over", "parked", "disabled")
_POLL_S: Final = 0.5
_limit = click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many."
)
_subscription = click.argument("subscription_id")


def path_of(subscription_id: str, *more: str) -> str:
    return "/".join((SUBSCRIPTIONS, segment(subscription_id), *more))


@click.group()
def subscriptions() -> None:
    """Who gets which events: webhooks, SNS topics, Kinesis streams."""


# Looking -------------------------------------------------------------------------------------------------------------


@subscriptions.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@_limit
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
@_subscription
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
@_subscription
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only attempts that ended so.")
@_limit
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
            _error(one.get("error")),
        )
        for one in found
    )
    listing(session, columns, rows, view)


# Changing ------------------------------------------------------------------------------------------------------------


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
@_subscription
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
@_subscription
@click.option("--yes", is_flag=True, help="Don't ask.")
@pass_session
def delete(session: Session, subscription_id: str, *, yes: bool) -> None:
    """End a subscription. Its place in the topics is forgotten with it."""
    if not yes:
        click.confirm("Its place and what is parked are forgotten. Delete it?", abort=True, err=True)
    session.client.call("DELETE", path_of(subscription_id))
    session.say(f"Subscription {clean(subscription_id)} is deleted.")


@subscriptions.command("rotate-secret")
@_subscription
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


# Operating -----------------------------------------------------------------------------------------------------------


@subscriptions.command()
@_subscription
@pass_session
def pause(session: Session, subscription_id: str) -> None:
    """Deliver nothing until it is resumed; its place is kept."""
    session.client.post(path_of(subscription_id, "pause"))
    name = clean(subscription_id)
    session.say(f"{name} is paused; `{own_command('subscriptions resume')} {name}` goes on.")


@subscriptions.command()
@_subscription
@pass_session
def resume(session: Session, subscription_id: str) -> None:
    """Go on where it stopped: after a pause, or once a disabled destination is well again."""
    session.client.post(path_of(subscription_id, "resume"))
    session.say(f"{clean(subscription_id)} goes on.")


@subscriptions.command()
@_subscription
@json_option
@pass_session
def test(session: Session, subscription_id: str, *, as_json: bool) -> None:
    """Send a test event now and show what comes back; exits with 1 where it wasn't taken."""
    result = session.client.post(path_of(subscription_id, "test"))
    if as_json:
        print_json(session.out, result)
    else:
        session.out.print(facts({name: value for name, value in result.items() if value not in (None, "")}))
    click.get_current_context().exit(0 if result["delivered"] else 1)


@subscriptions.command()
@_subscription
@click.option("--since", metavar="TIME", help="Such as 2026-11-21T19:30:00Z.")
@click.option("--cancel", metavar="OPERATION", help="End this replay instead.")
@click.option("--no-wait", is_flag=True, help="Don't wait for the end; print the operation's id.")
@json_option
@pass_session
def replay(
    session: Session,
    subscription_id: str,
    since: str | None,
    cancel: str | None,
    *,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Deliver once more what was published since a time, beside what is delivered anyway."""
    if (since is None) == (cancel is None):
        raise click.UsageError("Give --since TIME, or --cancel OPERATION.")
    if cancel is not None:
        operation = session.client.call("DELETE", path_of(subscription_id, "replay", segment(cancel)))
    else:
        operation = session.client.post(path_of(subscription_id, "replay"), {"since": since})
        operation = operation if no_wait else _follow(session, subscription_id, operation)
    if as_json:
        print_json(session.out, operation)
    elif no_wait:
        session.out.print(operation["id"], markup=False)
    else:
        shown = {name: operation[name] for name in ("id", "state", "done", "total")}
        missed = operation.get("missedEvents")
        session.out.print(facts(shown | ({"missed": missed} if missed else {})))
        for sentence in lost_of(operation):
            session.say(sentence)


@subscriptions.command()
@_subscription
@click.argument("parked_ids", nargs=-1)
@click.option("--retry", "verb", flag_value="retry", help="Deliver them once more, marked as redelivery.")
@click.option("--discard", "verb", flag_value="discard", help="Give them up.")
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@_limit
@view_options
@json_option
@pass_session
def parked(
    session: Session,
    subscription_id: str,
    parked_ids: tuple[str, ...],
    verb: str | None,
    limit: int,
    view: View,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """Events that the destination refused for good: see, retry or discard them."""
    if verb is None:
        if parked_ids or everything:
            raise click.UsageError("Say what to do with them: --retry or --discard.")
        _list_parked(session, subscription_id, limit, view, as_json=as_json)
        return
    if bool(parked_ids) == everything:
        raise click.UsageError("Give PARKED_IDS, or --all.")
    targets: list[tuple[str, ...]] = [(segment(one), verb) for one in parked_ids] or [(verb,)]
    changed = sum(
        session.client.post(path_of(subscription_id, "parked", *target))["changed"] for target in targets
    )
    if as_json:
        print_json(session.out, {"changed": changed})
    else:
        session.say(f"{changed} {'will be delivered again' if verb == 'retry' else 'given up'}.")


def _list_parked(session: Session, subscription_id: str, limit: int, view: View, *, as_json: bool) -> None:
    params = {"limit": min(limit, 1000)}
    pages = session.client.pages(path_of(subscription_id, "parked"), "parked", params)
    found = list(islice(pages, limit))
    if as_json:
        print_json(session.out, found)
        return
    rows = (
        (one["id"], ago(one["parkedAt"]), one.get("eventName"), one.get("guid"), _error(one.get("error")))
        for one in found
    )
    columns = (
        identifier("id"),
        Column("parked", 2),
        identifier("event", 1),
        identifier("guid", 3),
        prose("why"),
    )
    listing(session, columns, rows, view)


def _follow(session: Session, subscription_id: str, operation: dict[str, Any]) -> dict[str, Any]:
    with session.err.status("Replaying …") as spinner:
        while operation["state"] == "running":
            spinner.update(f"{operation['done']} of {operation['total']} events …")
            time.sleep(_POLL_S)
            operation = session.client.get(path_of(subscription_id, "replay", segment(operation["id"])))
    return operation


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


def _error(error: dict[str, Any] | None) -> str | None:
    return None if not error else f"{error.get('code')}: {error.get('detail')}"


@subscriptions.command()
@json_option
@pass_session
def reencrypt(session: Session, *, as_json: bool) -> None:
    """Store all webhook secrets and header values under the newest key.

    That is the first line of MEDIAOPS_SECRETS_KEY_FILE, as the API has read it at its start. After it an older key may be
    taken out of the file.
    """
    done = session.client.post(f"{SUBSCRIPTIONS}/reencrypt")
    if as_json:
        print_json(session.out, done)
    else:
        session.say(f"{done['changed']} encrypted under the newest key, {done['unchanged']} were already.")
        for subscription_id in done["unreadable"]:
            session.say(f"{clean(subscription_id)}: none of the keys is that of its secrets.")
    if done["unreadable"]:
        click.get_current_context().exit(1)
