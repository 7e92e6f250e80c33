"""Houses that tests share: starting one takes some seconds.

`house`     short intervals; nothing in it may be broken but the far side
`brittle`   a maximum age of seconds; its server may be frozen and killed
Tests of one house run in one process of pytest-xdist, by their group.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.house import QUICK, House


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """The houses' logs beside a failure."""
    report = yield
    houses = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, House)]
    if report.when == "call" and report.failed:  # type: ignore[attr-defined]
        for one in houses:
            report.sections.append(("house", one.report()))  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="session")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), **QUICK) as house:
        yield house


@pytest.fixture
def house(_house: House) -> Iterator[House]:
    """The shared house, its far side well again afterwards; none of its processes may have ended."""
    yield _house
    _house.avos.control(faults=[], latencyMs=0, down="no")
    assert _house.restarts() == {}, _house.report()


@pytest.fixture(scope="session")
def _brittle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("brittle"), **QUICK, MEDIAOPS_MAX_AGE_S="4") as house:
        yield house


@pytest.fixture
def brittle(_brittle: House) -> Iterator[House]:
    yield _brittle
    _brittle.avos.control(faults=[], latencyMs=0, down="no")
