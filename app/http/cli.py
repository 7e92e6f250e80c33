"""`tokens`: bearer tokens for the API."""

from __future__ import annotations

from typing import Final

import click

from app.cli.output import ago, clean, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import segment

TOKENS: Final = "/api/tokens"
SCOPES: Final = ("read", "write", "operate", "admin", "requests", "schedule")


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
@click.option("--account", help="With the scope schedule: the account that it is for (X-API-KEY).")
@json_option
@pass_session
def create(
    session: Session, name: str, scopes: tuple[str, ...], account: str | None, *, as_json: bool
) -> None:
    """Make a token called NAME. It is printed this once; only its hash is kept."""
    wanted = {"name": name, "scopes": list(scopes)} | ({"account": account} if account else {})
    made = session.client.post(TOKENS, wanted)
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
    rows = (
        (one["id"], one["name"], ", ".join(one["scopes"]), one.get("account", ""), ago(one["createdAt"]))
        for one in found
    )
    columns = (identifier("id"), prose("name"), prose("scopes", 1), prose("account", 3), Column("made", 2))
    listing(session, columns, rows, view)


@tokens.command()
@click.argument("token_id")
@pass_session
def revoke(session: Session, token_id: str) -> None:
    """End a token; every process refuses it within two seconds."""
    session.client.call("DELETE", f"{TOKENS}/{segment(token_id)}")
    session.say(f"Token {clean(token_id)} is revoked.")
