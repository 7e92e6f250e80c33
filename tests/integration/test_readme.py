"""Every command of README.md and docs/ in a fence marked `sh` is run as it is written, page by page, where `up` was started."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_up import Up
from tests.support.worker import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl"),
]
_FENCE = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CALL = re.compile(r"(?:^|[;|(] ?)(curl|mediaops-sync)\b", re.MULTILINE)
# Each of the two notes how it ended; 28 is curl's end of a stream that was to last so long.
_AROUND = """
set -u
curl() {{
  command curl -sS --fail-with-body "$@"; local code=$?
  echo "$code curl $*" >> calls; return $code
}}
mediaops-sync() {{
  {python} -m app "$@"; local code=$?
  echo "$code mediaops-sync $*" >> calls; return $code
}}
"""


def examples(page: Path) -> str:
    """All that is run of a page: one script, whose later fences know the variables of the earlier ones."""
    return "\n".join(_FENCE.findall(page.read_text()))


def without_comments(script: str) -> str:
    return "\n".join(line.split("  #", 1)[0] for line in script.splitlines() if not line.startswith("#"))


# What a page's commands print if they show what the page says: of the introduction, AVOS with the kick-off that moved.
PRINTED = {"README.md": r'"fields": \{[^}]*"2027-05-08T15:15:00Z"'}
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if examples(page)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """As `make run` starts it: the data is in .data, below where the commands are typed."""
    directory = tmp_path_factory.mktemp("readme")
    (directory / ".venv").symlink_to(sys.prefix)
    started = Up(directory / ".data")
    try:
        yield started.running()
        started.end()
    finally:
        started.clear_away()


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_command_works_as_it_is_written(up: Up, page: Path) -> None:
    directory = up.data_dir.parent
    (directory / "calls").unlink(missing_ok=True)
    port = up.environ["MEDIAOPS_HTTP_PORT"]
    script = _AROUND.format(python=sys.executable) + examples(page).replace(
        "127.0.0.1:8080", f"127.0.0.1:{port}"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    calls = (directory / "calls").read_text().splitlines()
    failed = [
        call for call in calls if not re.match(r"0 |28 curl -N", call) and re.match(r"\d+ (curl|med)", call)
    ]
    assert failed == [], done.stdout[-3000:] + done.stderr
    assert done.returncode == 0, done.stderr
    assert "unbound variable" not in done.stderr
    ran = [call for call in calls if re.match(r"\d+ (curl|mediaops-sync) ", call)]
    assert len(ran) == len(_CALL.findall(without_comments(examples(page))))
    assert re.search(PRINTED.get(page.name, ""), done.stdout), done.stdout[-3000:]
