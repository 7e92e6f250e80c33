"""What `up` says: steps, the fleet getting in step as a live table, and where everything is.

On a terminal the table moves; elsewhere (a log, a pipe) a plain line is written whenever something has changed.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from app.client import ApiClient, ApiRefused, Unreachable
from app.fleet.cli_status import read_status
from app.local.layout import Layout
from app.platform.clock import utcnow
from app.settings import own_command

_LOOK_S: Final = 0.5
_LINE_S: Final = 2.0  # between two plain lines
_QUIET_S: Final = 2.0  # nothing under way for so long: settled
_MEDIA: Final = ("in_step", "behind", "failing", "orphaned")
_REQUESTS: Final = ("pending", "live", "failed", "delivered", "rejected", "expired", "superseded")


class Screen:
    """Everything goes to one console, standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, soft_wrap=True, width=160)

    def say(self, text: str, end: str = "\n") -> None:
        try:
            # A token must stay one word when it is copied.
            self.console.print(text, markup=False, soft_wrap=True, end=end)
            self.console.file.flush()
        except OSError:
            # The terminal was closed. Nobody reads this any more, but what was started must still be stopped.
            self.console = Console(quiet=True)

    def moment(self, text: str) -> None:
        """A sentence with the time, about what happens while it runs."""
        self.say(f"{utcnow():%H:%M:%S} {text}")

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step with how long it took."""
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(f"{title} …"):
                yield
            self.say(f"  {title:<24} ready ({time.monotonic() - began:.1f} s)")
            return
        # Nothing moves in a log: say what is begun, and then that it is done, on one line.
        self.say(f"  {title + ' …':<26} ", end="")
        yield
        self.say(f"ready ({time.monotonic() - began:.1f} s)")

    def until_settled(
        self, client: ApiClient, alive: Callable[[], bool], busy: Callable[[], bool] = lambda: False
    ) -> None:
        """Show the fleet until nothing is under way any more, nor `busy` adds to it."""
        began = quiet_since = time.monotonic()
        with self._table() as update:
            while alive():
                try:
                    found = read_status(client)
                except (Unreachable, ApiRefused):
                    time.sleep(_LOOK_S)  # a restart; it is back in a moment
                    continue
                now = time.monotonic()
                update(found, now - began)
                if _under_way(found) or busy():
                    quiet_since = now
                elif now - quiet_since >= _QUIET_S:
                    return
                time.sleep(_LOOK_S)

    @contextmanager
    def _table(self) -> Iterator[Callable[[dict[str, Any], float], None]]:
        if self.console.is_terminal:
            with Live(console=self.console, refresh_per_second=4) as live:
                yield lambda found, seconds: live.update(_fleet(found, seconds))
            return
        said, said_at = "", 0.0

        def line(found: dict[str, Any], seconds: float) -> None:
            nonlocal said, said_at
            text = _line(found)
            if text != said and (not said or seconds - said_at >= _LINE_S or not _under_way(found)):
                said, said_at = text, seconds
                self.say(f"  {seconds:5.1f} s  {text}")

        yield line

    def summary(self, layout: Layout) -> None:
        """URLs and secrets: this is the terminal of who started it."""
        settings = layout.settings
        api = settings.api_url
        pairs = {
            "API": api,
            "API documentation": f"{api}/docs",
            "Bearer token": settings.api_token,
            "Flower": f"http://127.0.0.1:{settings.flower_port}  user {settings.flower_user}, "
            f"password {settings.flower_password}",
            "AVOS": f"{settings.avos_url}" + (" (the stand-in)" if layout.stand_in_port else ""),
            "Redis": settings.redis_shown + (" (embedded)" if layout.server else ""),
            "Data and logs": str(layout.data_dir),
        }
        self.console.print()
        for name, value in pairs.items():
            self.say(f"{name + ':':<20}{value}")
        self.say("\nIn another terminal, from this directory:")
        # Quoted, for shells to which ? and & mean something.
        self.say(
            f"  curl -H 'Authorization: Bearer {settings.api_token}' '{api}/api/custom/contentmedia?limit=3'"
        )
        for words in ("status --watch", "contentmedia list --state failing", "why NAME-OR-ID", "doctor"):
            self.say(f"  {_where(layout)}{own_command(words)}")
        self.say("Ctrl-C stops it in order.")


def _where(layout: Layout) -> str:
    """What the commands need to find this run, if anything."""
    if layout.data_dir == Path(".data").absolute():
        return ""
    return f"MEDIAOPS_DATA_DIR={shlex.quote(str(layout.data_dir))} "


def _under_way(found: dict[str, Any]) -> bool:
    return any(found["requests"][state]["count"] for state in ("pending", "live"))


def _fleet(found: dict[str, Any], seconds: float) -> Table:
    media, requests = found["contentmedia"], found["requests"]
    whole = sum(media.values())
    table = Table(
        title=f"Getting AVOS in step ({seconds:.0f} s)", title_justify="left", box=None, pad_edge=False
    )
    for column in ("content media", "", "", "requests", ""):
        table.add_column(column, justify="right" if column == "" else "left")
    styles = {"in_step": "green", "behind": "yellow", "failing": "red", "orphaned": "magenta"}
    for number, state in enumerate(_REQUESTS):
        name = _MEDIA[number] if number < len(_MEDIA) else ""
        bar = _bar(media[name], whole, styles[name]) if name else ""
        count = str(media[name]) if name else ""
        table.add_row(name.replace("_", " "), count, bar, state, str(requests[state]["count"]))
    return table


def _bar(part: int, whole: int, style: str) -> str:
    filled = round(30 * part / whole) if whole else 0
    return f"[{style}]{'█' * filled}[/{style}][dim]{'░' * (30 - filled)}[/dim]"


def _line(found: dict[str, Any]) -> str:
    media = ", ".join(f"{found['contentmedia'][name]} {name.replace('_', ' ')}" for name in _MEDIA)
    requests = ", ".join(
        f"{found['requests'][name]['count']} {name}" for name in _REQUESTS if found["requests"][name]["count"]
    )
    return f"content media: {media}; requests: {requests or 'none'}"
