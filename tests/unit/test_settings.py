from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.local.layout import new_key
from app.settings import InvalidSettings, Settings, embedded_socket, proxy_for

TOKEN = "t" * 40


def load(**values: str) -> Settings:
    return Settings.load({f"MEDIAOPS_{name}": value for name, value in values.items()})


def problems(**values: str) -> dict[str, list[str]]:
    with pytest.raises(InvalidSettings) as raised:
        load(**values)
    return raised.value.problems


def test_an_empty_environment_gives_the_documented_defaults(tmp_path: Path) -> None:
    settings = load(DATA_DIR=str(tmp_path))
    assert settings.redis_embedded
    assert settings.redis_url == f"unix://{tmp_path}/valkey/valkey.sock"
    assert settings.broker_url == f"redis+socket://{tmp_path}/valkey/valkey.sock"
    assert (settings.http_host, settings.http_port, settings.flower_port) == ("127.0.0.1", 8080, 5555)
    assert (settings.avos_url, settings.avos_timeout_s, settings.avos_max_in_flight) == (None, 10, 200)
    assert (settings.retry_interval_s, settings.max_age_s, settings.lease_s) == (10, 86400, 15)
    assert settings.inline_chain
    assert settings.sync_on_register


def test_all_mistakes_are_reported_at_once() -> None:
    found = problems(
        API_TOKEN="short", HTTP_PORT="many", AVOS_URL="ftp://x", TENANT="A b", AVOS_TOKEN_FILE="/none"
    )
    assert set(found) == {
        "MEDIAOPS_API_TOKEN",
        "MEDIAOPS_HTTP_PORT",
        "MEDIAOPS_AVOS_URL",
        "MEDIAOPS_TENANT",
        "MEDIAOPS_AVOS_TOKEN",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("RETRY_INTERVAL_S", "0"),
        ("MAX_AGE_S", "-1"),
        ("LEASE_S", "nan"),
        ("AVOS_MAX_IN_FLIGHT", "0"),
        ("AVOS_URL", "http://user:secret@avos.example"),
        ("AVOS_URL", "http://avos.example:99999"),
        ("AVOS_URL", "avos.example"),
        ("AVOS_AUTH_HEADER", "X Y"),
        ("SECRETS_KEY", "too-short"),
        ("SECRETS_KEY", "A" * 44),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("MAX_STREAMS", "0"),
        ("AVOS_TOKEN", "a\nb"),
        ("AVOS_CA_FILE", "/no/such/file"),
        ("API_TOKEN", "ü" * 40),
        ("API_TOKEN", "t" * 31),
        ("REDIS_URL", "http://localhost"),
        ("RATE_LIMIT", "lots"),
        ("REQUEST_PREFIXES", "external"),
        ("FLOWER_PASSWORD", "short"),
        ("INLINE_CHAIN", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_value_out_of_bounds_is_refused(name: str, value: str) -> None:
    assert set(problems(**{name: value})) == {f"MEDIAOPS_{name}"}


def test_one_attempt_must_end_before_its_lease() -> None:
    assert set(problems(AVOS_TIMEOUT_S="15", LEASE_S="15")) == {"MEDIAOPS_AVOS_TIMEOUT_S"}
    assert load(AVOS_TIMEOUT_S="14.9", LEASE_S="15").lease_s == 15


def test_a_secret_comes_from_a_file_without_its_trailing_newline(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert load(API_TOKEN_FILE=str(tmp_path / "token")).api_token == TOKEN


def test_a_setting_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    assert set(problems(API_TOKEN=TOKEN, API_TOKEN_FILE=str(tmp_path / "token"))) == {"MEDIAOPS_API_TOKEN"}


def test_secrets_show_neither_in_the_repr_nor_in_an_error() -> None:
    secret = "s3cret" * 8
    settings = load(
        API_TOKEN=secret,
        AVOS_TOKEN=secret,
        FLOWER_PASSWORD=secret,
        REDIS_URL=f"redis://user:{secret}@host:6379/0",
    )
    assert "s3cret" not in repr(settings)
    assert settings.redis_shown == "redis://host:6379/0"
    with pytest.raises(InvalidSettings) as raised:
        load(API_TOKEN="s3cret!", AVOS_TOKEN="s3cret\n", AVOS_URL="http://user:s3cret@host")
    assert "s3cret" not in str(raised.value)


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(AVOS_URL="", HTTP_PORT="").http_port == 8080


def test_a_name_that_is_no_setting_is_refused_with_the_one_that_may_be_meant() -> None:
    found = problems(HTTP_PROT="9", QUUX_FILE="/x", LEASE_S="never", API_TOKEN_FIEL="/x")
    assert set(found) == {
        "MEDIAOPS_HTTP_PROT",
        "MEDIAOPS_QUUX_FILE",
        "MEDIAOPS_LEASE_S",
        "MEDIAOPS_API_TOKEN_FIEL",
    }
    assert "Is MEDIAOPS_HTTP_PORT meant?" in found["MEDIAOPS_HTTP_PROT"][0]
    assert "meant" not in found["MEDIAOPS_QUUX_FILE"][0]
    assert "MEDIAOPS_API_TOKEN_FILE" in found["MEDIAOPS_API_TOKEN_FIEL"][0]
    assert load(HTTP_PROT="").http_port == 8080  # an empty one counts as unset, as everywhere


def test_what_kubernetes_says_of_its_services_is_no_mistake() -> None:
    service = {
        "API_SERVICE_HOST": "10.0.0.1", "API_SERVICE_PORT": "8080", "API_SERVICE_PORT_HTTP": "8080", "API_PORT": "tcp://10.0.0.1:8080",
        "API_PORT_8080_TCP": "tcp://10.0.0.1:8080", "API_PORT_8080_TCP_PROTO": "tcp", "API_PORT_8080_TCP_ADDR": "10.0.0.1",
    }  # fmt: skip
    assert load(**service).http_port == 8080
    assert set(problems(API_PORT="8080")) == {"MEDIAOPS_API_PORT"}


def test_a_rule_across_settings_does_not_hide_behind_another_mistake() -> None:
    found = problems(AVOS_TIMEOUT_S="15", LEASE_S="15", HTTP_PORT="many")
    assert set(found) == {"MEDIAOPS_AVOS_TIMEOUT_S", "MEDIAOPS_HTTP_PORT"}
    assert set(problems(AVOS_TIMEOUT_S="15", LEASE_S="soon")) == {"MEDIAOPS_LEASE_S"}


def test_what_a_running_up_chose_counts_where_the_environment_is_silent(tmp_path: Path) -> None:
    (tmp_path / "running.json").write_text(
        json.dumps({"MEDIAOPS_HTTP_PORT": "18080", "MEDIAOPS_FLOWER_PORT": "15555"})
    )
    environ = {"MEDIAOPS_DATA_DIR": str(tmp_path), "MEDIAOPS_FLOWER_PORT": "5000"}
    assert (Settings.load(environ).http_port, Settings.load(environ).flower_port) == (18080, 5000)
    assert Settings.load(environ, running=False).http_port == 8080


def test_a_data_directory_too_deep_for_a_socket_gets_one_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    assert len(str(embedded_socket(deep))) < 100
    assert embedded_socket(deep) == embedded_socket(deep) != embedded_socket(tmp_path / ("e" * 120))


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://proxy:3128"}, None),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ({"http_proxy": "http://proxy:3128", "NO_PROXY": "example.com"}, None),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "*"}, None),
        ({"http_proxy": "http://proxy:3128", "no_proxy": "other.org"}, "http://proxy:3128"),
    ],
)
def test_the_proxy_is_resolved_from_the_environment(environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for("http://avos.example.com:80", environ) == proxy
    settings = Settings.load(environ | {"MEDIAOPS_AVOS_URL": "http://avos.example.com/"})
    assert (settings.avos_url, settings.avos_proxy) == ("http://avos.example.com", proxy)
    bypassed = Settings.load(
        environ | {"MEDIAOPS_AVOS_URL": "http://avos.example.com", "MEDIAOPS_AVOS_BYPASS_PROXY": "true"}
    )
    assert bypassed.avos_proxy is None


def test_our_own_url_is_one_that_this_machine_reaches() -> None:
    assert load(HTTP_HOST="0.0.0.0").api_url == "http://127.0.0.1:8080"
    assert load(HTTP_HOST="::1").api_url == "http://[::1]:8080"


def test_the_keys_of_secrets_come_from_a_file_one_a_line(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    file = tmp_path / "keys"
    file.write_text(f"{first}\n\n{second}\n")
    settings = load(SECRETS_KEY_FILE=str(file))
    assert settings.secrets_key == (first, second)
    assert {first, second} <= set(settings.hidden)
    assert first not in repr(settings)
    assert load().secrets_key == ()
    file.write_text(f"{first}\nnot-a-key-{second}\n")
    found = problems(SECRETS_KEY_FILE=str(file))
    assert set(found) == {"MEDIAOPS_SECRETS_KEY"}
    assert second not in str(found)
