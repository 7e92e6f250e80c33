"""A store that somebody else runs: `up` looks for it before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.local import readiness
from app.local.layout import free_port, lay_out
from app.platform.embedded import ServerUnavailable
from tests.support.server import RealServer


def given(url: str, tmp_path: Path) -> dict[str, str]:
    return {"MEDIAOPS_REDIS_URL": url, "MEDIAOPS_DATA_DIR": str(tmp_path / "data")}


def test_a_store_that_is_away_is_named_with_the_reason_and_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "STORE_S", 0.05)
    port = free_port()
    layout = lay_out(given(f"redis://user:pass-word@127.0.0.1:{port}/0", tmp_path))
    with pytest.raises(ServerUnavailable) as told:
        readiness.find_store(layout)
    for words in ("MEDIAOPS_REDIS_URL", f"redis://127.0.0.1:{port}/0", "refused"):
        assert words in str(told.value)
    assert "pass-word" not in str(told.value)


def test_a_store_that_is_there_is_taken(own_server: RealServer, tmp_path: Path) -> None:
    readiness.find_store(lay_out(given(own_server.url, tmp_path)))
