"""`events …`: what there is to publish, publishing, reading and following it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import click

from app.cli.event_stream import Message, messages
from app.cli.output import ago, clean, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.tables import Column, View, identifier, listing, prose, view_options
from app.client import ApiRefused, Patience, Unreachable, segment

EVENTS: Final = "/api/events"
BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 4 * 1024 * 1024
_AGAIN_S: Final = 2.0  # before a stream that was lost is asked for again
_names = click.option(
    "--event", "names", multiple=True, metavar="NAME", help="Only events of this name; repeatable."
)
_since = click.option(
    "--since", metavar="TIME", help="Only what was published at this time (RFC 3339) or later."
)


@click.group()
def events() -> None:
    """What happens, by topic: publish, read, follow."""


@events.command()
@view_options
@json_option
@pass_session
def catalogue(session: Session, view: View, *, as_json: bool) -> None:
    """Every topic and event name, and what is gone since 2.x."""
    found = session.client.get(f"{EVENTS}/catalogue")
    if as_json:
        print_json(session.out, found)
        return
    rows = [
        (topic["topic"], event["eventName"], event["family"], "this system" if topic["own"] else "publishers")
        for topic in found["topics"]
        for event in topic["events"]
    ]
    columns = (identifier("topic"), identifier("event"), Column("family", 1), Column("published by", 2))
    listing(session, columns, rows, view)
    for gone in found["gone"]:
        session.say(f"Gone: {gone['topic']} ({', '.join(gone['eventNames'])})")


@events.command(name="new-epoch")
@pass_session
def new_epoch(session: Session) -> None:
    """Say that the store was restored from a copy, so that those who follow the log learn that they have to look back."""
    epoch = session.client.post(f"{EVENTS}/epoch")["epoch"]
    session.say(f"A new life of the log has begun: {epoch}")


@events.command()
@click.argument("topic")
@click.argument("file", type=click.File("rb"), default="-")
@json_option
@pass_session
def publish(session: Session, topic: str, file: Any, *, as_json: bool) -> None:
    """Publish to TOPIC what FILE (or the standard input) holds: one event, an array, or one event a line.
    Events go out as they stand; exits with 1 where one of them was refused."""
    path = f"{EVENTS}/{segment(topic)}"
    results: list[dict[str, Any]] = []
    patience = Patience(say=session.say)
    for first, raw in _batches(file.read()):
        try:
            answer = session.client.call("POST", path, raw=raw, patience=patience)
            results += answer["results"]
        except ApiRefused as error:
            if error.status not in (400, 413):
                raise
            results.append(
                {"status": error.status, "errors": [{"detail": f"{field}: {text}" if field else text} for field, text in error.problems]}
            )  # fmt: skip
            session.say(f"Nothing was taken of the events from number {first} on:")
    refused = [result for result in results if "sequence" not in result]
    if as_json:
        print_json(session.out, results)
    else:
        taken = [(one["sequence"], one["guid"]) for one in results if "sequence" in one]
        listing(session, (Column("sequence"), identifier("guid")), taken)
        for one in refused:
            session.say("\n".join(clean(error["detail"]) for error in one["errors"]))
    if refused:
        click.get_current_context().exit(1)


def _batches(text: bytes) -> Iterator[tuple[int, bytes]]:
    """(Number of its first event, body) of each call: the text itself, or its lines as arrays."""
    try:
        json.loads(text)
    except ValueError:
        pass  # one event a line, or what the API will refuse with the reason
    else:
        yield 1, text
        return
    batch: list[bytes] = []
    first = number = 1
    for number, line in enumerate((line for line in text.splitlines() if line.strip()), start=1):
        if batch and (len(batch) == BATCH_EVENTS or sum(map(len, batch)) + len(line) > BATCH_BYTES):
            yield first, b"[" + b",".join(batch) + b"]"
            batch, first = [], number
        batch.append(line)
    yield first, b"[" + b",".join(batch) + b"]"


@events.command()
@click.argument("topic")
@click.option("--after", type=click.IntRange(0), help="Only what came after this sequence.")
@_since
@_names
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@view_options
@json_option
@pass_session
def read(
    session: Session, topic: str, after: int | None, since: str | None, names: tuple[str, ...], limit: int, view: View, *, as_json: bool
) -> None:  # fmt: skip
    """The log of TOPIC, oldest first."""
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"after": after, "since": since, "eventName": ",".join(names) or None}
    while True:
        page = session.client.get(
            f"{EVENTS}/{segment(topic)}", {**params, "limit": min(limit - len(found), 1000)}
        )
        if page["missed"]:
            session.say(f"No longer kept: {page['missed']['from']} to {page['missed']['to']}.")
        found += page["events"]
        if len(found) >= limit or page["next"] >= page["last"]:
            break
        params["after"] = page["next"]
    if as_json:
        print_json(session.out, found)
        return
    rows = [
        (one["sequence"], ago(one["publishedAt"]), one["event"]["eventName"], one["event"]["guid"], _brief(one["event"]))
        for one in found
    ]  # fmt: skip
    columns = (
        Column("sequence"),
        Column("published", 1),
        identifier("event"),
        identifier("guid", 2),
        prose("about", 1),
    )
    listing(session, columns, rows, view)
    if page["next"] < page["last"]:
        session.say(f"The first {limit}; --limit shows more, --after {page['next']} goes on.")


@events.command()
@click.argument("topics", nargs=-1)
@_since
@_names
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@json_option
@pass_session
def follow(
    session: Session, topics: tuple[str, ...], since: str | None, names: tuple[str, ...], count: int | None, *, as_json: bool
) -> None:  # fmt: skip
    """What happens from now on, on TOPICS or on all of them; with --json one event a line. It goes on where
    it was when the API was away; Ctrl-C ends it."""
    params = {"topic": ",".join(topics) or None, "since": since, "eventName": ",".join(names) or None}
    shown, last_id = 0, None
    while True:
        try:
            for message in messages(session.client.lines(f"{EVENTS}/stream", params, last_id)):
                last_id = message.id or last_id
                if not message.data:
                    continue
                _show(session, message, as_json=as_json)
                shown += message.kind == "message"
                if shown == count:
                    return
        except (Unreachable, ApiRefused) as error:
            if last_id is None or (isinstance(error, ApiRefused) and not error.retryable):
                raise
            session.say(f"{error}; trying again.")
        time.sleep(_AGAIN_S)


def _show(session: Session, message: Message, *, as_json: bool) -> None:
    data = json.loads(message.data)
    if message.kind == "gap":
        span = f": {data['from']} to {data['to']}" if "from" in data else ""
        session.say(f"Something on {data['topic']} was missed ({data['reason']}){span}.")
    elif as_json:
        session.out.file.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
        session.out.file.flush()
    else:
        event = data["event"]
        words = (data["topic"], f"#{data['sequence']}", event["eventName"], event["guid"], _brief(event))
        session.out.print("  ".join(map(clean, words)), markup=False)


_ENVELOPE: Final = frozenset({"eventName", "originator", "tenant", "versions", "timestamp", "guid"})


def _brief(event: dict[str, Any]) -> str:
    """The members of an event beside its envelope, on one line."""
    own = {name: value for name, value in event.items() if name not in _ENVELOPE}
    text = json.dumps(own, ensure_ascii=False)
    return text if len(text) <= 120 else text[:119] + "…"
