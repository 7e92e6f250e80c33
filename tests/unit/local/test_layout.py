from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from app.local.layout import Layout, free_port, is_free, lay_out
from app.local.programs import stages, supervisor_config
from app.local.samples import shift_days
from app.settings import InvalidSettings, Settings


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def environ(tmp_path: Path, **values: str) -> dict[str, str]:
    return {"MEDIAOPS_DATA_DIR": str(tmp_path / "data")} | {f"MEDIAOPS_{n}": v for n, v in values.items()}


def ports(tmp_path: Path) -> dict[str, str]:
    return environ(tmp_path, HTTP_PORT=str(free_port()), FLOWER_PORT=str(free_port()))


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first, second = lay_out(ports(tmp_path)), lay_out(ports(tmp_path))
    for name in ("api-token", "flower-password", "avos-token", "secrets-key"):
        assert stat.S_IMODE((first.data_dir / name).stat().st_mode) == 0o600
    assert first.settings.api_token == second.settings.api_token is not None
    assert first.settings.flower_password == second.settings.flower_password is not None
    assert first.settings.secrets_key == second.settings.secrets_key != ()
    assert first.settings.avos_token == (first.data_dir / "avos-token").read_text().strip()


def test_given_secrets_are_kept(tmp_path: Path) -> None:
    layout = lay_out(
        ports(tmp_path) | environ(tmp_path, API_TOKEN="t" * 32, FLOWER_PASSWORD="given-password")
    )
    assert (layout.settings.api_token, layout.settings.flower_password) == ("t" * 32, "given-password")
    assert not (layout.data_dir / "api-token").exists()


def test_a_port_that_was_asked_for_must_be_free(tmp_path: Path, taken: int) -> None:
    with pytest.raises(InvalidSettings, match=f"Port {taken}"):
        lay_out(environ(tmp_path, HTTP_PORT=str(taken), FLOWER_PORT=str(free_port())))


def test_all_that_is_wrong_with_this_machine_is_told_at_once(tmp_path: Path, taken: int) -> None:
    (tmp_path / "data").touch()  # no directory can be made there
    with pytest.raises(InvalidSettings) as raised:
        lay_out(environ(tmp_path, HTTP_PORT=str(taken), FLOWER_PORT=str(taken)), stand_ins=False)
    assert set(raised.value.problems) == {
        "MEDIAOPS_DATA_DIR", "MEDIAOPS_HTTP_PORT", "MEDIAOPS_FLOWER_PORT", "MEDIAOPS_AVOS_URL",
    }  # fmt: skip
    assert "Name a directory of yours" in str(raised.value)


def test_a_default_port_that_is_taken_gives_way(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.local.layout.is_free", lambda _host, port: port != 8080)
    layout = lay_out(environ(tmp_path))
    assert layout.settings.http_port != 8080
    assert "8080" in layout.notes[0]
    assert not is_free("127.0.0.1", taken)


def test_without_stand_ins_avos_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="MEDIAOPS_AVOS_URL"):
        lay_out(ports(tmp_path), stand_ins=False)
    layout = lay_out(ports(tmp_path) | environ(tmp_path, AVOS_URL="http://avos.example"), stand_ins=False)
    assert layout.stand_in_port is None
    assert [stage.name for stage in stages(layout)] == ["server", "flower", "workers", "api", "beat"]


def test_a_store_of_ones_own_leaves_the_embedded_one_out(tmp_path: Path) -> None:
    layout = lay_out(ports(tmp_path) | environ(tmp_path, REDIS_URL="redis://localhost:6379/5"))
    assert layout.server is None
    assert stages(layout)[0].name == "live-stand-in"


def test_what_is_published_lets_other_commands_find_this_run(tmp_path: Path) -> None:
    layout = lay_out(ports(tmp_path))
    layout.publish()
    found = Settings.load(environ(tmp_path))
    assert found == layout.settings
    assert "token" in (layout.data_dir / "running.json").read_text()  # the file's path, not the token
    assert (layout.settings.api_token or "") not in (layout.data_dir / "running.json").read_text()
    layout.withdraw()
    assert Settings.load(environ(tmp_path)).api_token is None


def test_the_server_starts_first_and_whoever_asks_stops_first(tmp_path: Path) -> None:
    found = stages(lay_out(ports(tmp_path)))
    assert [stage.name for stage in found] == [
        "server",
        "live-stand-in",
        "avos-stand-in",
        "flower",
        "workers",
        "api",
        "beat",
    ]
    workers = found[4].programs
    names = ["live1", "live2", "events1", "events2", "events-slow", "pending", "ticks"]
    assert [program.name for program in workers] == names
    assert all(program.stop_wait_s > 10 for program in workers)  # longer than one attempt
    assert [program.name for program in workers if program.command[0] == "nice"] == ["events-slow"]


def test_no_secret_stands_in_a_command_line_or_in_supervisors_configuration(tmp_path: Path) -> None:
    layout = lay_out(ports(tmp_path))
    text = supervisor_config(layout, stages(layout))
    for secret in (layout.settings.api_token, layout.settings.flower_password, layout.settings.avos_token):
        assert secret
        assert secret not in text


def test_a_percent_sign_in_a_path_is_kept(tmp_path: Path) -> None:
    layout: Layout = lay_out(ports(tmp_path / "100%"))
    text = supervisor_config(layout, stages(layout))
    assert "/100%%/data/logs" in text
    assert "/100%/" not in text


@pytest.mark.parametrize(
    ("today", "days"),
    [
        (date(2026, 11, 1), 0),
        (date(2026, 11, 21), 0),
        (date(2026, 11, 23), 0),
        (date(2026, 11, 24), 7),
        (date(2026, 11, 30), 7),
        (date(2026, 12, 1), 14),
    ],
)
def test_the_sample_weekend_is_never_over(today: date, days: int) -> None:
    assert shift_days(today) == days
