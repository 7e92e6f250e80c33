"""Content media: the fleet, one's timeline, holding and releasing, updating, and `why` for any id."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import click

from app.cli.output import ago, clean, facts, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import segment
from app.outgoing.cli import REQUESTS

MEDIA: Final = "/api/custom/contentmedia"
HOLDS: Final = "/api/custom/holds"
UPDATE: Final = "/api/custom/livestreams/update"
WHY: Final = "/api/custom/why"
STATES: Final = ("in_step", "behind", "failing", "orphaned")
_LONGEST_WAIT_S: Final = 30.0


@click.group()
def contentmedia() -> None:
    """The fleet: every registered content media, in step or not."""


@contentmedia.command("list")
@click.option("--state", type=click.Choice(STATES))
@click.option("--livestream", "livestream", metavar="L", help="Only that of this livestream.")
@click.option("--event", "event", metavar="E", help="Only those of this event.")
@click.option("--name", help="Only where the event's name holds this.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@view_options
@json_option
@pass_session
def list_media(
    session: Session,
    state: str | None,
    livestream: str | None,
    event: str | None,
    name: str | None,
    limit: int,
    view: View,
    *,
    as_json: bool,
) -> None:
    """Content media with their event and how far AVOS is in step."""
    params = {
        "state": state,
        "livestreamId": livestream,
        "eventId": event,
        "name": name,
        "limit": min(limit, 1000),
    }
    found = list(islice(session.client.pages(MEDIA, "contentmedia", params), limit))
    if as_json:
        print_json(session.out, found)
        return
    columns = (
        identifier("content media"),
        Column("state"),
        Column("held", 1),
        identifier("livestream", 3),
        prose("event", 2),
        Column("pre-kick-off", 2),
    )
    rows = (
        (
            one["contentMediaId"],
            one["state"],
            "held" if one["held"] else "",
            one["livestreamId"],
            one["eventName"] or one["missing"],
            ago(one["preKoUtc"]),
        )
        for one in found
    )
    listing(session, columns, rows, view)
    if len(found) == limit:
        session.say(f"The first {limit}; --limit shows more.")


@contentmedia.command()
@click.argument("content_media_id")
@pass_session
def hold(session: Session, content_media_id: str) -> None:
    """Keep planning's changes of CONTENT_MEDIA_ID waiting, losing none, until it is released."""
    answer = session.client.post(f"{MEDIA}/{segment(content_media_id)}/hold")
    session.say(f"{clean(content_media_id)} is held{'' if answer['changed'] else ' already'}.")


@contentmedia.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@view_options
@json_option
@pass_session
def holds(session: Session, limit: int, view: View, *, as_json: bool) -> None:
    """What operators hold, the longest held first; also what isn't registered any more."""
    found = list(islice(session.client.pages(HOLDS, "holds", {"limit": min(limit, 1000)}), limit))
    if as_json:
        print_json(session.out, found)
        return
    rows = ((one["contentMediaId"], ago(one["since"]), one["by"], one["livestreamId"]) for one in found)
    columns = (identifier("content media"), Column("held"), prose("by"), identifier("livestream", 1))
    listing(session, columns, rows, view)


@contentmedia.command()
@click.argument("content_media_id")
@pass_session
def release(session: Session, content_media_id: str) -> None:
    """Send what waited: of each field only the newest value."""
    answer = session.client.post(f"{MEDIA}/{segment(content_media_id)}/release")
    session.say(f"{clean(content_media_id)} {'goes on' if answer['changed'] else 'was not held'}.")


@click.command()
@click.argument("content_media_id")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@view_options
@json_option
@pass_session
def timeline(session: Session, content_media_id: str, limit: int, view: View, *, as_json: bool) -> None:
    """What happened to CONTENT_MEDIA_ID, newest first."""
    pages = session.client.pages(
        f"{MEDIA}/{segment(content_media_id)}/timeline", "timeline", {"limit": min(limit, 1000)}
    )
    found = list(islice(pages, limit))
    if as_json:
        print_json(session.out, found)
        return
    rows = ((one["at"], one["what"], _detail(one["detail"])) for one in found)
    listing(session, (Column("at"), Column("what"), prose("detail")), rows, view)


def _detail(detail: dict[str, Any]) -> str:
    return ", ".join(f"{name} {clean(value)}" for name, value in detail.items())


@click.command()
@click.argument("content_media_id")
@click.option(
    "--wait", type=click.FloatRange(0), default=0.0, metavar="S", help="Wait up to S seconds for their ends."
)
@json_option
@pass_session
def update(session: Session, content_media_id: str, wait: float, *, as_json: bool) -> None:
    """Force an update: both PATCHes of CONTENT_MEDIA_ID are written even when nothing changed."""
    answer = session.client.get(UPDATE, {"contentMediaId": content_media_id})
    records = [{"id": request_id, "state": "pending"} for request_id in answer["requestIds"]]
    if wait:
        seconds = {"wait": f"{min(wait, _LONGEST_WAIT_S):g}"}
        records = [session.client.get(f"{REQUESTS}/{segment(one['id'])}", seconds) for one in records]
    if as_json:
        print_json(session.out, records if wait else answer)
        return
    listing(session, (identifier("id"), Column("state")), ((one["id"], one["state"]) for one in records))


@click.command()
@click.argument("id_or_name")
@json_option
@pass_session
def why(session: Session, id_or_name: str, *, as_json: bool) -> None:
    """What is the matter with ID_OR_NAME, since when, what happens next, and what to do.

    An id (of a request, content media, livestream, event, job, operation, subscription, LIVESTREAM:CONTENT_MEDIA of a
    registration), or a part of an id or of an event's name.
    """
    answer = session.client.get(f"{WHY}/{segment(id_or_name)}")
    if as_json:
        print_json(session.out, answer)
        return
    for number, finding in enumerate(answer["findings"]):
        if number:
            session.out.print()
        for sentence in finding["about"]:
            session.out.print(clean(sentence), markup=False)
        for cause in finding["causes"]:
            _say(session, cause)


def _say(session: Session, cause: dict[str, Any]) -> None:
    """A cause, and below it what belongs to it."""
    since = f"{cause['since']} ({ago(cause['since'])})" if cause["since"] else None
    lines = {"since": since, "next": cause["next"], "to do": cause["todo"]}
    session.out.print()
    session.out.print(clean(cause["says"]), markup=False, style="bold")
    made = facts({f"  {name}": text for name, text in lines.items() if text})
    session.out.print(made)
