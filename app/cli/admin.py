"""`destinations` and `tokens`: what an administrator or operator switches."""

from __future__ import annotations

from typing import Final

import click

from app.cli.output import ago, clean, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import segment
from app.settings import own_command

DESTINATIONS: Final = "/api/custom/destinations"
TOKENS: Final = "/api/tokens"
SCOPES: Final = ("read", "write", "operate", "admin", "requests")


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
@view_options
@json_option
@pass_session
def list_tokens(session: Session, view: View, *, as_json: bool) -> None:
    """All tokens, without their secrets."""
    found = list(session.client.pages(TOKENS, "tokens"))
    if as_json:
        print_json(session.out, found)
        return
    rows = ((one["id"], one["name"], ", ".join(one["scopes"]), ago(one["createdAt"])) for one in found)
    columns = (identifier("id"), prose("name"), prose("scopes", 1), Column("made", 2))
    listing(session, columns, rows, view)


@tokens.command()
@click.argument("token_id")
@pass_session
def revoke(session: Session, token_id: str) -> None:
    """End a token; every process refuses it within two seconds."""
    session.client.call("DELETE", f"{TOKENS}/{segment(token_id)}")
    session.say(f"Token {clean(token_id)} is revoked.")
