from __future__ import annotations

from datetime import timedelta

import pytest
from lupa.lua51 import LuaRuntime

from app.outgoing.destinations import Breaker, Destination, Destinations, Retry

AVOS = Destination("avos", in_flight=7)
NOTICES = Destination(
    "notices",
    lease=timedelta(seconds=1.5),
    breaker=None,
    retry=Retry(longest_rest=timedelta(seconds=60)),
    instances=3,
)
KNOWN = Destinations(AVOS, NOTICES)


def test_an_instance_has_its_familys_values() -> None:
    assert KNOWN.of("avos") is AVOS
    assert KNOWN.of("notices:example.com:8443") is NOTICES
    assert list(KNOWN) == [AVOS, NOTICES]


def test_one_that_is_not_known_has_the_default_values() -> None:
    assert KNOWN.of("gone:a") == Destination("gone")


@pytest.mark.parametrize("host", ["Example.com", "example.com:8443", "[::1]:80", "127.0.0.1"])
def test_a_family_has_an_instance_for_each_host(host: str) -> None:
    assert NOTICES.of_host(host) == f"notices:{host.lower()}"


@pytest.mark.parametrize("host", ["", "a b", "a/b", 'a"', "x" * 256, "ä"])
def test_what_is_no_host_has_no_instance(host: str) -> None:
    with pytest.raises(ValueError, match="no instance"):
        NOTICES.of_host(host)


def test_one_far_side_has_no_instances() -> None:
    with pytest.raises(ValueError, match="no instance"):
        AVOS.of_host("example.com")


@pytest.mark.parametrize("names", [("avos", "avos"), ("a:b",), ("",), ("A",), ("a b",)])
def test_names_must_stand_in_keys_and_be_different(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="names"):
        Destinations(*map(Destination, names))


def test_the_scripts_get_all_limits_in_their_text() -> None:
    text = KNOWN.limits_fragment() + "return LIMITS"
    found = {name: dict(limits) for name, limits in dict(LuaRuntime().execute(text)).items()}
    assert found == {
        "": Destination("").limits(),
        "avos": Destination("avos").limits() | {"in_flight": 7},
        "notices": Destination("notices").limits()
        | {"lease_ms": 1500, "breaker_threshold": 0, "longest_rest_ms": 60_000, "instances": 3},
    }
    assert found["avos"]["breaker_threshold"] == Breaker().threshold
