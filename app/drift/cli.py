"""`drift`, and `contentmedia preview`: what AVOS shows, beside what planning wants."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import click

from app.cli.output import ago, clean, facts, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import segment

MEDIA: Final = "/api/custom/contentmedia"
DRIFT: Final = "/api/custom/drift"
STATES: Final = ("in_step", "drifted", "not_observable", "unreadable")


@click.command()
@click.option("--state", type=click.Choice(STATES), help="Only what was found to be so.")
@click.option("--check", "checked", metavar="ID", help="Compare this content media now.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@view_options
@json_option
@pass_session
def drift(
    session: Session, state: str | None, checked: str | None, limit: int, view: View, *, as_json: bool
) -> None:
    """What AVOS showed last of content media near their event; exits with 1 where one of them has drifted."""
    if checked is not None:
        answer: Any = session.client.post(f"{DRIFT}/check", params={"contentMediaId": checked})
        found = [answer]
    else:
        params = {"state": state, "limit": min(limit, 1000)}
        answer = found = list(islice(session.client.pages(DRIFT, "drift", params), limit))
    if as_json:
        print_json(session.out, answer)
    else:
        _show(session, found, view)
        if len(found) == limit and checked is None:
            session.say(f"The first {limit}; --limit shows more.")
    if any(one["state"] == "drifted" for one in found):
        click.get_current_context().exit(1)


def _show(session: Session, found: list[dict[str, Any]], view: View) -> None:
    rows: list[tuple[Any, ...]] = []
    for one in found:
        first = (one["contentMediaId"], one["state"], ago(one["since"]), ago(one["checkedAt"]))
        details = [(m["member"], clean(m["wanted"]), clean(m["shown"])) for m in one["members"]]
        details += [(name, "", "not shown") for name in one["notShown"]]
        if one["error"]:
            details.append((one["error"]["code"], "", one["error"]["detail"]))
        for number, detail in enumerate(details or [("", "", "")]):
            rows.append((*(first if number == 0 else ("", "", "", "")), *detail))
    columns = (
        identifier("content media"),
        Column("state"),
        Column("since", 2),
        Column("checked", 3),
        prose("member", 1, least=12),
        prose("planning wants", 1, least=12),
        prose("AVOS shows", 1, least=12),
    )
    listing(session, columns, rows, view)


@click.command()
@click.argument("content_media_id")
@view_options
@json_option
@pass_session
def preview(session: Session, content_media_id: str, view: View, *, as_json: bool) -> None:
    """What an update of CONTENT_MEDIA_ID would send now, beside what AVOS shows."""
    answer = session.client.get(f"{MEDIA}/{segment(content_media_id)}/preview")
    if as_json:
        print_json(session.out, answer)
        return
    avos = answer["avos"]
    shown = f"{avos['error']['code']}: {avos['error']['detail']}" if avos["error"] else avos["lastModified"]
    about = {name: answer[name] for name in ("contentMediaId", "livestreamId", "eventId", "jobId")}
    session.out.print(facts({**about, "AVOS": shown}))
    rows: list[tuple[Any, ...]] = []
    for request in answer["requests"]:
        if request["rejected"]:
            rows.append(
                (
                    request["kind"],
                    f"the {request['kind']} PATCH",
                    "can't be composed",
                    "",
                    request["rejected"]["code"],
                )
            )
        rows += [
            (request["kind"], one["member"], one["wanted"], one["shown"], one["verdict"])
            for one in request["members"]
        ]
        rows += [(request["kind"], name, "no value: not sent", "", "") for name in request["absent"]]
    columns = (
        Column("kind", 2),
        Column("member"),
        prose("would be sent", least=20),  # a time is whole
        prose("AVOS shows", least=20),
        prose("verdict", 1, least=9),
    )
    listing(session, columns, rows, view)
