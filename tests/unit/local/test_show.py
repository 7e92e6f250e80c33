"""What `up` says: lines that can be copied into any shell."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from app.local.layout import free_port, lay_out
from app.local.show import Screen


@pytest.fixture
def banner(tmp_path: Path) -> list[str]:
    environ = {
        "MEDIAOPS_DATA_DIR": str(tmp_path / "my data"),
        "MEDIAOPS_HTTP_PORT": str(free_port()),
        "MEDIAOPS_FLOWER_PORT": str(free_port()),
    }
    console = Console(file=io.StringIO(), force_terminal=True, width=80, no_color=True)
    Screen(console).summary(lay_out(environ))
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def test_a_curl_line_is_whole_and_its_address_is_quoted(banner: list[str]) -> None:
    """zsh refuses a bare `?`, every shell takes a bare `&` for its own."""
    (line,) = [line for line in banner if line.lstrip().startswith("curl ")]
    assert line.rstrip().endswith("?limit=3'")
    assert shlex.split(line)[-1].startswith("http://127.0.0.1:")


def test_the_commands_find_this_run(banner: list[str], tmp_path: Path) -> None:
    lines = [line for line in banner if line.startswith("  MEDIAOPS_DATA_DIR=")]
    assert any(line.rstrip().endswith(" status --watch") for line in lines)
    assert {shlex.split(line)[0] for line in lines} == {f"MEDIAOPS_DATA_DIR={tmp_path / 'my data'}"}
