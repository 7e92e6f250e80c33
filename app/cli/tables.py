"""Tables for people: one row a line, never wider than the terminal.

What doesn't fit is shortened, ids from the middle, texts at their end; where that isn't enough, the columns that matter
least are left out. `--wide` shows everything whole, `--columns` chooses. Where nobody's terminal says how wide it is
(a pipe, a file) everything is shown whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from app.cli.output import clean, style_of
from app.cli.session import Session

GAP: Final = 2
_DOTS: Final = "…"
_LONG_WORD: Final = re.compile(r"\S{26,}")  # an id within a text; times are shorter
_SHORT_WORD: Final = 13
_NOTHING: Final = ("", "–")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Column:
    """The smaller `rank`, the longer it stays. `least`: how narrow it may become; 0: it is never shortened. `text`:
    shortened at its end, as prose is; else from the middle, as ids are."""

    name: str
    rank: int = 0
    least: int = 0
    text: bool = False


def identifier(name: str, rank: int = 0) -> Column:
    """A column of ids."""
    return Column(name, rank, least=_SHORT_WORD)


def prose(name: str, rank: int = 0, least: int = 16) -> Column:
    """A column of names or sentences."""
    return Column(name, rank, least, text=True)


@dataclass(frozen=True, slots=True)
class View:
    """How a caller wants a table: `wide` whole, `columns` only these."""

    wide: bool = False
    columns: tuple[str, ...] = ()


def view_options(command: F) -> F:
    """`--wide` and `--columns`, as the argument `view`."""

    def take(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        before: View = ctx.params.get("view", View())
        if parameter.name == "wide":
            ctx.params["view"] = View(bool(value), before.columns)
        else:
            names = tuple(name.strip() for name in (value or "").split(",") if name.strip())
            ctx.params["view"] = View(before.wide, names)
        return value

    for option in (
        click.option(
            "--columns", metavar="A,B,…", expose_value=False, callback=take, help="Only these columns."
        ),
        click.option(
            "--wide", is_flag=True, expose_value=False, callback=take, help="All columns, nothing shortened."
        ),
    ):
        command = option(command)
    return command


def table(
    console: Console, columns: Sequence[Column], rows: Iterable[Sequence[Any]], view: View | None = None
) -> list[Text]:
    """The lines of a table that fits `console`: the header, then the rows. Raises UsageError for a column that there
    isn't."""
    view = view or View()
    cells = [[clean(value) for value in row] for row in rows]
    columns, cells = _chosen(columns, cells, view)
    width = None if view.wide or console.soft_wrap else console.width
    if width is not None and not view.columns and cells:
        columns, cells = _without_empty(columns, cells)
    return _lines(columns, cells, fitting(columns, cells, width, all_of_them=bool(view.columns)))


def listing(
    session: Session, columns: Sequence[Column], rows: Iterable[Sequence[Any]], view: View | None = None
) -> None:
    """Print a table; where there is nothing in it, say so."""
    lines = table(session.out, columns, rows, view)
    for line in lines:
        session.out.print(line, soft_wrap=True)
    if len(lines) == 1:
        session.say("There are none.")


def fitting(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int | None, *, all_of_them: bool = False
) -> list[int | None]:
    """The width of each column, None for one that is left out. `all_of_them`: none is, however narrow they become."""
    whole = [
        max([cell_len(column.name), *(cell_len(row[number]) for row in cells)])
        for number, column in enumerate(columns)
    ]
    if width is None:
        return list(whole)
    least = [
        min(full, max(column.least, cell_len(column.name))) if column.least else full
        for column, full in zip(columns, whole, strict=True)
    ]
    kept = list(range(len(columns))) if all_of_them else _kept(columns, least, width)
    room = width - GAP * (len(kept) - 1)
    if all_of_them and sum(least) > room:
        least = _shared([1] * len(least), least, max(room, len(least)))
    given = _shared([least[n] for n in kept], [whole[n] for n in kept], room)
    widths: list[int | None] = [None] * len(columns)
    for number, size in zip(kept, given, strict=True):
        widths[number] = min(size, width)
    return widths


def _kept(columns: Sequence[Column], least: Sequence[int], width: int) -> list[int]:
    """The columns that fit, by rank; at least one."""
    kept: list[int] = []
    for number in sorted(range(len(columns)), key=lambda n: columns[n].rank):
        if not kept or sum(least[n] + GAP for n in kept) + least[number] <= width:
            kept.append(number)
    return sorted(kept)


def _shared(least: list[int], most: list[int], room: int) -> list[int]:
    """Widths between `least` and `most` that fill the room: the narrowest grow first, so that as many as possible are
    whole."""
    given = list(least)
    left = room - sum(given)
    while left > 0:
        growing = [n for n in range(len(given)) if given[n] < most[n]]
        if not growing:
            break
        given[min(growing, key=lambda n: given[n])] += 1
        left -= 1
    return given


def _chosen(
    columns: Sequence[Column], cells: list[list[str]], view: View
) -> tuple[Sequence[Column], list[list[str]]]:
    if not view.columns:
        return columns, cells
    known = {_plain(column.name): number for number, column in enumerate(columns)}
    for name in view.columns:
        if _plain(name) not in known:
            raise click.UsageError(
                f"There is no column '{name}'; there are: {', '.join(one.name for one in columns)}."
            )
    return _only(columns, cells, [known[_plain(name)] for name in view.columns])


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")


def _without_empty(
    columns: Sequence[Column], cells: list[list[str]]
) -> tuple[Sequence[Column], list[list[str]]]:
    """A column that says nothing in any row is left out, but never the first."""
    full = [n for n in range(len(columns)) if n == 0 or any(row[n] not in _NOTHING for row in cells)]
    return _only(columns, cells, full)


def _only(
    columns: Sequence[Column], cells: list[list[str]], numbers: Sequence[int]
) -> tuple[Sequence[Column], list[list[str]]]:
    return [columns[n] for n in numbers], [[row[n] for n in numbers] for row in cells]


def _lines(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], widths: Sequence[int | None]
) -> list[Text]:
    shown = [n for n, width in enumerate(widths) if width is not None]
    lines = []
    for number, row in enumerate([[column.name for column in columns], *cells]):
        line = Text(no_wrap=True, overflow="ignore", end="\n")
        for n in shown:
            width = widths[n] or 0
            text = fit(row[n], width, text=columns[n].text or number == 0)
            style = "bold" if number == 0 else style_of(row[n])
            line.append(text, style)
            if n != shown[-1]:
                line.append(" " * (width - cell_len(text) + GAP))
        lines.append(line)
    return lines


def fit(value: str, width: int, *, text: bool = False) -> str:
    """The value in at most so many cells of the terminal."""
    if cell_len(value) <= width:
        return value
    if not text:
        return _middle(value, width)
    value = _LONG_WORD.sub(lambda word: _middle(word.group(), max(_SHORT_WORD, width // 3)), value)
    return value if cell_len(value) <= width else _head(value, width - 1).rstrip() + _DOTS


def _middle(value: str, width: int) -> str:
    if cell_len(value) <= width:
        return value
    head = _head(value, width // 2)
    tail = _head(value[::-1], width - 1 - cell_len(head))[::-1]
    return f"{head}{_DOTS}{tail}"


def _head(value: str, width: int) -> str:
    """As many of its first characters as fit: some take two cells, some none."""
    used = 0
    for number, character in enumerate(value):
        used += cell_len(character)
        if used > width:
            return value[:number]
    return value
