"""`mediaops-sync drift` and `contentmedia preview` against the API."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs
from werkzeug.serving import make_server

from app.cli.root import main
from app.http.factory import create_app
from deploy.simulators.avos import AvosStandIn
from tests.unit.drift.conftest import Near
from tests.unit.http.conftest import BOOTSTRAP

THEIRS = "2040-01-01T00:00:00Z"
Run = Callable[..., Result]


@pytest.fixture
def run(near: Near, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    monkeypatch.setenv("MEDIAOPS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MEDIAOPS_API_TOKEN", BOOTSTRAP)
    server = make_server("127.0.0.1", 0, create_app(near.system), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def invoke(*args: str, exits: int = 0) -> Result:
        result = CliRunner().invoke(main, ["--url", f"http://127.0.0.1:{server.port}", *args])
        assert result.exit_code == exits, result.output
        return result

    with capture_logs():
        yield invoke
    server.shutdown()
    server.server_close()


def test_drift_lists_what_was_found_and_says_so_by_its_exit_code(
    run: Run, near: Near, avos: AvosStandIn
) -> None:
    near.plan(1)
    near.plan(2)
    assert json.loads(run("drift", "--json").stdout) == []
    near.audit.tick()
    assert "in_step" in run("drift").stdout
    avos.edit("Cm2", {"eventEndTime": THEIRS})
    checked = run("drift", "--check", "Cm2", exits=1).stdout
    assert "eventEndTime" in checked
    assert THEIRS in checked
    [found] = json.loads(run("drift", "--state", "drifted", "--json", exits=1).stdout)
    assert found["contentMediaId"] == "Cm2"
    assert json.loads(run("drift", "--check", "Cm1", "--json").stdout)["state"] == "in_step"
    near.caller.post("/api/custom/contentmedia/Cm1/hold")
    assert "an operator holds it" in run("drift", "--check", "Cm1", exits=1).output


def test_the_preview_shows_both_sides(run: Run, near: Near, avos: AvosStandIn) -> None:
    near.plan(1)
    avos.edit("Cm1", {"eventEndTime": THEIRS})
    shown = run("contentmedia", "preview", "Cm1").stdout
    assert THEIRS in shown
    assert "different" in shown
    assert json.loads(run("contentmedia", "preview", "Cm1", "--json").stdout)["avos"]["status"] == 200
    avos.control(faults=[{"kind": "status", "status": 404, "on": "get"}])
    assert "not_found" in run("contentmedia", "preview", "Cm1").stdout
