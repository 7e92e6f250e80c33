"""`import` and `register`: bringing planning and registrations in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from app.cli.importer import ImportReport, import_files, register, register_all
from app.cli.output import clean, print_json
from app.cli.progress import bar
from app.cli.session import Session, json_option, pass_session

_SHOWN: Final = 100  # bad rows printed one by one; --json gives all of them


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--shift-days",
    type=int,
    default=0,
    metavar="N",
    help="Move every time by N days (negative: back) while reading.",
)
@json_option
@pass_session
def import_command(session: Session, files: tuple[Path, ...], shift_days: int, *, as_json: bool) -> None:
    """Send planning's events and jobs from FILES (NDJSON, a JSON array, {"messages": […]}; - is stdin).

    Bad rows are named by file, line and field, good ones are kept. Importing a file again is safe.
    Exit code 0: all good; 1: some rows bad or unsent; 2: nothing could be sent.
    """
    with bar(session.err, "Importing") as meter:
        report = import_files(session.client, files, meter, shift_days=shift_days, stdin=sys.stdin.buffer)
    _report(session, report, "accepted", as_json=as_json)


@click.command("register")
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--livestream", metavar="L", help="One livestream's id …")
@click.option("--media", metavar="C", help="… and the content media to link it to.")
@json_option
@pass_session
def register_command(
    session: Session, file: Path | None, livestream: str | None, media: str | None, *, as_json: bool
) -> None:
    """Link livestreams to content media: the pairs of FILE, or one pair by --livestream and --media.

    FILE holds objects with livestreamId and contentMediaId: NDJSON, an array, or under "registrations" or
    "activeLivestreams" (so the answer of …/registrations/active can be read back in).
    """
    if (file is None) == (livestream is None) or (livestream is None) != (media is None):
        raise click.UsageError("Give a FILE, or both --livestream and --media.")
    if file is None:
        answer = register(session.client, str(livestream), str(media))
        if as_json:
            print_json(session.out, answer)
        else:
            queued = len(answer.get("requestIds") or ())
            session.say(f"{clean(livestream)} is linked to {clean(media)}; {queued} requests queued.")
        return
    with bar(session.err, "Registering") as meter:
        report = register_all(session.client, file, meter, stdin=sys.stdin.buffer)
    _report(session, report, "registered", as_json=as_json)


def _report(session: Session, report: ImportReport, verb: str, *, as_json: bool) -> None:
    if as_json:
        print_json(session.out, report.as_json())
    else:
        for bad in report.bad[:_SHOWN]:
            session.say(clean(str(bad)))
        if len(report.bad) > _SHOWN:
            session.say(f"… and {len(report.bad) - _SHOWN} more; --json names all of them.")
    session.say(_summary(report, verb))
    if report.stopped is not None:
        session.say(
            f"Stopped: {clean(str(report.stopped))} {report.unsent} rows weren't sent, from {report.first_unsent} on. "
            "Run it again once the API answers: what was sent already does no harm."
        )
    click.get_current_context().exit(report.exit_code)


def _summary(report: ImportReport, verb: str) -> str:
    parts: list[Any] = [f"{report.rows} rows: {report.accepted} {verb}"]
    if report.bad:
        parts.append(f"{len({(bad.file, bad.line) for bad in report.bad})} bad")
    if report.unsent:
        parts.append(f"{report.unsent} not sent")
    return ", ".join(parts) + f"; {report.queued} requests to AVOS queued."
