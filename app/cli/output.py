"""How the command line shows things: a table for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.platform.clock import parse_time, utcnow

_STYLES: Final = {
    "delivered": "green", "in_step": "green", "ok": "green", "closed": "green", "open": "red", "done": "green",
    "failed": "yellow", "behind": "yellow", "paused": "yellow", "held": "yellow", "resting": "yellow", "recovering": "yellow", "warning": "yellow",
    "rejected": "red", "expired": "red", "failing": "red", "orphaned": "red", "bad": "red",
}  # fmt: skip


def print_json(console: Console, value: Any) -> None:
    """Indented, letters as they are, one document."""
    console.file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def clean(value: Any) -> str:
    """A value as text that can't steer the terminal: ids and error texts come from outside."""
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else "�" for character in text)


def cell(value: Any) -> Text:
    """One cell; words for states get their colour."""
    text = clean(value)
    return Text(text, style=_STYLES.get(text, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell(value) for value in row))
    return made


def facts(pairs: Mapping[str, Any]) -> Table:
    """One thing, a line for each of its members."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        made.add_row(name, cell(value))
    return made


def ago(text: str | None, now: datetime | None = None) -> str:
    """A time as the distance from now: `4 min ago`, `in 2 h`."""
    if not text:
        return "–"
    seconds = ((now or utcnow()) - parse_time(text)).total_seconds()
    return f"in {span(-seconds)}" if seconds < -1 else f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
