"""What every command stands on: where the API is, whom we are, and where to write."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from app.client import ApiClient
from app.settings import Settings, environment, own_command

WRITTEN_TOKEN: Final = "api-token"  # noqa: S105 - a file name, in the data directory, beside what `up` has chosen
_UNBOUNDED: Final = 10_000
F = TypeVar("F", bound=Callable[..., Any])


def _console(*, stderr: bool) -> Console:
    """As wide as the terminal; where none says how wide it is, nor COLUMNS does, lines are as long as they are."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    unknown = not terminal and not environment().get("COLUMNS", "").isdecimal()
    return Console(stderr=stderr, width=_UNBOUNDED if unknown else None, highlight=False, soft_wrap=unknown)


@dataclass
class Session:
    """One run of the command line. Tables and JSON go to `out`, everything said beside them to `err`."""

    url: str | None = None
    token_file: Path | None = None
    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))

    @cached_property
    def settings(self) -> Settings:
        """Raises InvalidSettings, with all mistakes."""
        return Settings.load()

    @cached_property
    def client(self) -> ApiClient:
        """The API's client. Raises ClickException where no token is at hand."""
        return ApiClient(self.url or self.settings.api_url, self._token())

    def say(self, text: str) -> None:
        """A sentence for a person."""
        self.err.print(text, markup=False)

    def _token(self) -> str:
        if self.token_file is not None:
            return _read(self.token_file)
        if self.settings.api_token:
            return self.settings.api_token
        written = self.settings.data_dir / WRITTEN_TOKEN
        if written.is_file():
            return _read(written)
        raise click.ClickException(
            "No token for the API. Give --token-file FILE, or set MEDIAOPS_API_TOKEN (or …_FILE); on the machine that runs "
            f"`{own_command('up')}`, MEDIAOPS_DATA_DIR must name its data directory "
            f"(looked in {self.settings.data_dir})."
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"The token file {path} can't be read ({error}).") from error


pass_session = click.make_pass_decorator(Session)


def json_option(command: F) -> F:
    """`--json`: one JSON document on stdout, for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)
