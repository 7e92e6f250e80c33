"""Deployments that tests share: starting one takes some seconds.

`deployment`     short intervals; nothing in it may be broken but the far side
`brittle`   a maximum age of seconds; its server may be frozen and killed
Tests of one deployment run in one process of pytest-xdist, by their group.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployment import QUICK, Deployment


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """The deployments' logs beside a failure."""
    report = yield
    deployments = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Deployment)]
    if report.when == "call" and report.failed:  # type: ignore[attr-defined]
        for one in deployments:
            report.sections.append(("deployment", one.report()))  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="session")
def _deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("deployment"), **QUICK) as deployment:
        yield deployment


@pytest.fixture
def deployment(_deployment: Deployment) -> Iterator[Deployment]:
    """The shared deployment, its far side well again afterwards; none of its processes may have ended."""
    yield _deployment
    _deployment.avos.control(faults=[], latencyMs=0, down="no")
    assert _deployment.restarts() == {}, _deployment.report()


@pytest.fixture(scope="session")
def _brittle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("brittle"), **QUICK, MEDIAOPS_MAX_AGE_S="4") as deployment:
        yield deployment


@pytest.fixture
def brittle(_brittle: Deployment) -> Iterator[Deployment]:
    yield _brittle
    _brittle.avos.control(faults=[], latencyMs=0, down="no")
