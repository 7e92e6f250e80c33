"""Services are made when they are asked for, once, by the function that returns their class."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

from app.platform.container import Container, providers
from app.platform.keys import Keys
from app.platform.packages import Package
from app.settings import Settings

SETTINGS = Settings(redis_url="redis://127.0.0.1:1", tenant="contained")


class Lower:
    made = 0

    def __init__(self) -> None:
        time.sleep(0.01)
        Lower.made += 1

    def act(self) -> int:
        return 7


class Upper:
    def __init__(self, lower: Lower) -> None:
        self.lower = lower


def make_lower(_: Container) -> Lower:
    return Lower()


def make_upper(container: Container) -> Upper:
    return Upper(container[Lower])


def lower_through_upper(container: Container) -> Lower:
    return container[Upper].lower


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """An empty module, to be filled with providers."""
    made = ModuleType("providers_of_a_test")
    sys.modules[made.__name__] = made
    Lower.made = 0
    yield made
    del sys.modules[made.__name__]


def fill(module: ModuleType, *functions: object) -> tuple[Package, ...]:
    for number, function in enumerate(functions):
        setattr(module, f"provider{number}", function)
        function.__module__ = module.__name__
    return (Package(name="tested", providers=(module.__name__,)),)


def test_a_service_is_made_once_when_it_is_asked_for(module: ModuleType) -> None:
    container = Container(SETTINGS, fill(module, make_upper, make_lower))
    assert Lower.made == 0
    assert container[Upper].lower is container[Lower]
    assert container[Upper] is container[Upper]
    assert Lower.made == 1


def test_threads_that_come_at_once_get_the_same(module: ModuleType) -> None:
    container = Container(SETTINGS, fill(module, make_upper, make_lower))
    found: list[Upper] = []
    threads = [threading.Thread(target=lambda: found.append(container[Upper])) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len(set(map(id, found))) == Lower.made == 1


def test_what_is_given_takes_the_place_of_what_would_be_made(module: ModuleType) -> None:
    mine = Lower()
    container = Container(SETTINGS, fill(module, make_upper, make_lower), given={Lower: mine})
    assert container[Upper].lower is mine


def test_settings_and_keys_are_there_without_a_provider() -> None:
    container = Container(SETTINGS, ())
    assert container[Settings] is SETTINGS
    assert container[Keys].prefix == "contained:"


def test_a_method_is_found_by_its_import_string(module: ModuleType) -> None:
    container = Container(SETTINGS, fill(module, make_lower))
    assert container.method(f"{__name__}:Lower.act")() == 7


def test_a_class_that_nobody_provides_is_named(module: ModuleType) -> None:
    with pytest.raises(LookupError, match="no package provides Lower"):
        Container(SETTINGS, fill(module, make_upper))[Upper]


def test_a_circle_is_named(module: ModuleType) -> None:
    container = Container(SETTINGS, fill(module, make_upper, lower_through_upper))
    with pytest.raises(LookupError, match="Upper -> Lower -> Upper"):
        container[Upper]


def test_two_providers_of_one_class_are_refused(module: ModuleType) -> None:
    with pytest.raises(ValueError, match="provides Lower too"):
        providers(fill(module, make_lower, lower_through_upper))
