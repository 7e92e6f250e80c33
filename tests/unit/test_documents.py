"""What README.md and docs/ say is there: links, files, settings, metrics, calls; and what they promise of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import fakeredis
import pytest

from app.events.sinks.signatures import new_secret, signatures
from app.http.factory import create_app
from tests.support.worker import ROOT
from tests.unit.http.conftest import build_system
from tests.unit.test_documented_settings import read_settings

PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LONGEST_LINE: Final = 120
LONGEST_README: Final = 120
MADE: Final = "deploy/secrets/"  # by whoever runs the containers
FOLDERS: Final = ("app", "benchmarks", "deploy", "docs", "tests", "workers")

page = pytest.mark.parametrize("page", PAGES, ids=[path.name for path in PAGES])


def prose(path: Path) -> Iterator[str]:
    """The lines of a page outside its fences."""
    fenced = False
    for line in path.read_text().splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield line


def anchors(path: Path) -> set[str]:
    """How GitHub names a page's headings."""
    headings = [line.lstrip("#") for line in prose(path) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in headings}


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


@page
def test_lines_fit_a_screen(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), 1)
    assert [n for n, line in lines if len(line) > LONGEST_LINE and not line.startswith("|")] == []


@page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose(page))):
        file, _, anchor = target.partition("#")
        if "://" in file:
            continue
        found = page.parent / file if file else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@page
def test_files_that_are_named_are_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # which names what is gone, too
        return
    for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", "\n".join(prose(page))):
        if name.split("/")[0] in FOLDERS and not name.startswith(MADE):
            assert (ROOT / name).exists(), name


def test_the_ways_name_functions_that_are_there() -> None:
    text = "\n".join(prose(ROOT / "docs" / "architecture.md"))
    steps = re.findall(r"^\d+\. `([\w./-]+)`((?:, `[\w.]+`)*):", text, re.MULTILINE)
    assert len(steps) == len(re.findall(r"^\d+\. `", text, re.MULTILINE)) > 0
    for file, names in steps:
        code = (ROOT / file).read_text()
        for name in re.findall(r"`(?:\w+\.)?(\w+)`", names):
            assert re.search(rf"\b(?:def|class|function) {name}\b", code), f"{file}: {name}"


@page
def test_settings_and_metrics_that_are_named_are_there(page: Path) -> None:
    text = page.read_text()
    known = {name + suffix for name in read_settings() for suffix in ("", "_FILE")}
    assert set(re.findall(r"MEDIAOPS_[A-Z_]*[A-Z]", text)) - known == set()
    code = "\n".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    assert {name for name in re.findall(r"`(mediaops_[a-z_]+)`", text) if f'"{name}"' not in code} == set()


def served() -> set[tuple[str, str, str]]:
    """Method, path and scope of every call; the names of what varies in a path are left out."""
    app = create_app(build_system(fakeredis.FakeRedis(), "docs"))
    found = set()
    for rule in app.url_map.iter_rules():
        scope = getattr(app.view_functions[rule.endpoint], "required_scope", "")
        chosen = re.search(r"<any\(([^)]*)\):\w+>", rule.rule)
        for word in chosen[1].split(", ") if chosen else [""]:
            path = re.sub(r"<any\([^)]*\):\w+>", word, rule.rule)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                found.add((method, re.sub(r"<[^>]+>", "{}", path), scope))
    return {call for call in found if not call[1].startswith("/docs/static")}


def documented() -> set[tuple[str, str, str]]:
    """The same from the list items of docs/api.md: one or more calls, and their scope in brackets."""
    text = (ROOT / "docs" / "api.md").read_text()
    found = set()
    for item in re.split(r"^(?:- |$|#)", text, flags=re.MULTILINE):
        scope = re.search(r"\(`(read|write|operate|admin|requests|schedule)`\)", item)
        for method, path in re.findall(r"`(GET|POST|PUT|DELETE) (/[^`?]*)[^`]*`", item):
            found.add((method, re.sub(r"{[^}]+}", "{}", path), scope[1] if scope else ""))
    return found


def test_every_call_is_documented_with_its_scope() -> None:
    assert served() - documented() == set(), "served, and not in docs/api.md"
    assert documented() - served() == set(), "in docs/api.md, and not served"


@pytest.fixture
def receiver() -> dict[str, Any]:
    """What the Python of docs/events.md defines."""
    text = (ROOT / "docs" / "events.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        exec(block, names)
    return names


def signed(secrets: list[str], body: bytes, at: datetime) -> dict[str, str]:
    return {
        "webhook-id": "guid-1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signatures(secrets, "guid-1", at, body),
    }


def test_the_example_for_receivers_tells_what_is_genuine(receiver: dict[str, Any]) -> None:
    old, new, now = new_secret(), new_secret(), datetime.now(UTC)
    body = '{"eventName": "asset-created", "title": "Åsane – Brann"}'.encode()
    genuine = receiver["is_genuine"]
    headers = signed([new, old], body, now)
    assert genuine(new, headers, body)
    assert genuine(old, headers, body)
    assert not genuine(new_secret(), headers, body)
    assert not genuine(new, headers, body + b" ")
    assert not genuine(new, headers | {"webhook-id": "guid-2"}, body)
    assert not genuine(new, signed([new], body, datetime(2026, 1, 1, tzinfo=UTC)), body)


@pytest.mark.parametrize(
    ("previous", "more", "gap"),
    [("7", {}, False), ("6", {}, False), ("8", {}, True), ("8", {"X-Mediaops-Redelivery": "parked"}, False)],
)
def test_the_example_for_receivers_tells_a_gap(
    receiver: dict[str, Any], previous: str, more: dict[str, str], gap: bool
) -> None:
    headers = {"X-Mediaops-Topic": "asset-operations", "X-Mediaops-Previous-Sequence": previous, **more}
    assert receiver["is_gap"]({"asset-operations": 7}, headers) is gap
    assert receiver["is_gap"]({}, headers) is False
