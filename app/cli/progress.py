"""Progress of something long: a bar on a terminal, silence where nobody watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Meter(Protocol):
    """What work reports to. `say` is for a sentence beside the bar."""

    def start(self, total: int | None) -> None: ...

    def advance(self, amount: int) -> None: ...

    def say(self, text: str) -> None: ...


class Silent:
    """A meter that nobody reads."""

    def start(self, total: int | None) -> None:
        pass

    def advance(self, amount: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def start(self, total: int | None) -> None:
        self._progress.update(self._task, total=total, completed=0)

    def advance(self, amount: int) -> None:
        self._progress.update(self._task, advance=amount)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


@contextmanager
def bar(console: Console, title: str) -> Iterator[Meter]:
    """A progress bar on `console` (of stderr, so that stdout stays clean); only sentences where that is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=False, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield _Bar(progress, task)
        # What separates rows isn't counted, so the last bit is missing.
        progress.update(task, completed=progress.tasks[0].total)
