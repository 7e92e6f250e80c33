"""How the command line shows things: facts for people (lists are in `tables`), one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def style_of(text: str) -> str:
    """The colour of a word for a state."""
    return _STYLES.get(text, "")


def facts(pairs: Mapping[str, Any]) -> Table:
    """One thing, a line for each of its members."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        made.add_row(name, Text(text := clean(value), style=style_of(text)))
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
