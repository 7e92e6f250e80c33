"""What a live message says for people: an event, a content media and what is sent, whatever their names hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.outgoing.control import TITLE
from app.outgoing.destinations import Destinations
from app.outgoing.model import AVOS, NewRequest
from app.outgoing.scripts import OutgoingScripts
from app.outgoing.store import OutgoingStore
from tests.support.outgoing import Bench

ODD = 'Brøndby "Øst" – A/B \\ @@ARG@@ %1 \x7f 😀'


def pushed(bench: Bench, tenant: str, request: NewRequest) -> Any:
    store = OutgoingStore(
        bench.client, bench.keys, OutgoingScripts(Destinations(bench.avos), flags=bench.flags)
    )
    bench.store = store
    [request_id] = bench.accept(request)
    assert store.promote(AVOS) == 1
    [text] = bench.client.lrange(bench.keys.prefix + "live", 0, -1)
    message = json.loads(text)
    assert json.loads(message["body"])[0] == [request_id]
    assert message["headers"]["id"] == f"{request_id}-1"
    return message["headers"]["argsrepr"]


@pytest.mark.parametrize("title", ["Home - Away", ODD])
def test_a_line_names_event_content_media_and_what_is_sent(bench: Bench, tenant: str, title: str) -> None:
    assert pushed(bench, tenant, bench.patch("CM-1", title=title)) == f"booking of {title} (PATCH CM-1)"


def test_without_an_event_it_names_the_rest(bench: Bench, tenant: str) -> None:
    assert pushed(bench, tenant, bench.barrier('CM"1')) == 'generic of CM"1 (POST)'


def test_outside_content_media_it_names_the_path_without_its_query(bench: Bench, tenant: str) -> None:
    request = NewRequest(
        destination=AVOS,
        lane="x",
        kind="generic",
        method="PUT",
        path=f"/external/{'y' * 500}?token=secret",
        body=b"{}",
    )
    line = pushed(bench, tenant, request)
    assert line == f"generic of /external/{'y' * 190} (PUT)"


def test_a_name_is_one_line_and_bounded(bench: Bench, tenant: str) -> None:
    line = pushed(bench, tenant, bench.patch("CM-1", title="A\n\t B" + "æ" * 1000))
    assert line == f"booking of {('A B' + 'æ' * 1000)[:TITLE]} (PATCH CM-1)"
