"""The far sides, made and broken for each test; one moto for the process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from tests.support.aws import Moto, environment
from tests.support.sinks import SIDES, AwsSide, FarSide, far_side


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with Moto(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(params=SIDES, ids=lambda kind: kind.name)
def side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FarSide]:
    for name, value in environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    with far_side(request.param, cache(lambda: request.getfixturevalue("moto"))) as made:
        if isinstance(made, AwsSide):
            monkeypatch.setenv("AWS_ENDPOINT_URL", made.door.url)
        yield made
