"""What an operator does with subscriptions: `subscriptions pause|resume|test|replay|parked|reencrypt`."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any, Final

import click

from app.cli.output import ago, clean, facts, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import segment
from app.events.subscriptions.cli import (
    SUBSCRIPTIONS,
    error_text,
    limit_option,
    path_of,
    subscription_argument,
)
from app.events.subscriptions.presentation import lost
from app.settings import own_command

_POLL_S: Final = 0.5


@click.command()
@subscription_argument
@pass_session
def pause(session: Session, subscription_id: str) -> None:
    """Deliver nothing until it is resumed; its place is kept."""
    session.client.post(path_of(subscription_id, "pause"))
    name = clean(subscription_id)
    session.say(f"{name} is paused; `{own_command('subscriptions resume')} {name}` goes on.")


@click.command()
@subscription_argument
@pass_session
def resume(session: Session, subscription_id: str) -> None:
    """Go on where it stopped: after a pause, or once a disabled destination is well again."""
    session.client.post(path_of(subscription_id, "resume"))
    session.say(f"{clean(subscription_id)} goes on.")


@click.command()
@subscription_argument
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


@click.command()
@subscription_argument
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
        spans = (f"{gap['from']} to {gap['to']} of {gap['topic']}" for gap in operation.get("missed", ()))
        for sentence in lost(missed or 0, spans, operation.get("reachesBackTo")):
            session.say(sentence)


@click.command()
@subscription_argument
@click.argument("parked_ids", nargs=-1)
@click.option("--retry", "verb", flag_value="retry", help="Deliver them once more, marked as redelivery.")
@click.option("--discard", "verb", flag_value="discard", help="Give them up.")
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@limit_option
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
        (one["id"], ago(one["parkedAt"]), one.get("eventName"), one.get("guid"), error_text(one.get("error")))
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


@click.command()
@json_option
@pass_session
def reencrypt(session: Session, *, as_json: bool) -> None:
    """Store all webhook secrets and header values under the newest key.

    That is the first line of MEDIAOPS_SECRETS_KEY_FILE, as the API has read it at its start. After it an
    older key may be taken out of the file.
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
