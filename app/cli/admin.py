"""`destinations` and `tokens`: what an administrator or operator switches."""

from __future__ import annotations

from typing import Final

import click

from app.cli.output import ago, clean, print_json, table
from app.cli.session import Session, json_option, pass_session
from app.client import segment
from app.settings import own_command

DESTINATIONS: Final = "/api/custom/destinations"
TOKENS: Final = "/api/tokens"
SCOPES: Final = ("read", "write", "operate", "admin", "requests")


@click.group()
def destinations() -> None:
    """Where requests go to: see, pause and resume."""


@destinations.command("list")
@json_option
@pass_session
def list_destinations(session: Session, *, as_json: bool) -> None:
    """Each destination: open or paused, what waits, is live and has failed."""
    found = list(session.client.pages(DESTINATIONS, "destinations"))
    if as_json:
        print_json(session.out, found)
        return
    columns = ("name", "state", "why", "runnable", "live", "failed", "at most live", "paused")
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
    session.out.print(table(columns, rows))


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


@click.group()
def tokens() -> None:
    """Bearer tokens for the API."""


@tokens.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it may do; repeatable.",
)
@json_option
@pass_session
def create(session: Session, name: str, scopes: tuple[str, ...], *, as_json: bool) -> None:
    """Make a token called NAME. It is printed this once; only its hash is kept."""
    made = session.client.post(TOKENS, {"name": name, "scopes": list(scopes)})
    if as_json:
        print_json(session.out, made)
        return
    session.say(f"Token {made['id']} ({', '.join(made['scopes'])}); keep it, it isn't shown again:")
    session.out.print(made["token"], markup=False, soft_wrap=True)


@tokens.command("list")
@json_option
@pass_session
def list_tokens(session: Session, *, as_json: bool) -> None:
    """All tokens, without their secrets."""
    found = list(session.client.pages(TOKENS, "tokens"))
    if as_json:
        print_json(session.out, found)
        return
    rows = ((one["id"], one["name"], ", ".join(one["scopes"]), ago(one["createdAt"])) for one in found)
    session.out.print(table(("id", "name", "scopes", "made"), rows))


@tokens.command()
@click.argument("token_id")
@pass_session
def revoke(session: Session, token_id: str) -> None:
    """End a token; every process refuses it within two seconds."""
    session.client.call("DELETE", f"{TOKENS}/{segment(token_id)}")
    session.say(f"Token {clean(token_id)} is revoked.")
