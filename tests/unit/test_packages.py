"""What the packages declare is there, and fits together."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pkgutil import resolve_name
from typing import Any, get_args, get_origin, get_type_hints

import click
import grimp
import pytest
from prometheus_client import Metric
from redis import Redis

from app.events.consumers.runner import Runner
from app.http.blueprints import Blueprint
from app.http.factory import create_app
from app.packages import NAMES, PACKAGES, declared
from app.platform.container import Container, providers
from app.platform.packages import Tick
from app.settings import Settings
from app.watch.canaries import Canaries
from app.watch.evaluation import WatchFinding
from tests.support.claims import claims_of, wrongly_claimed
from tests.support.worker import ROOT
from tests.unit.http.conftest import BOOTSTRAP, Caller, build_system
from tests.unit.http.plan import deliver_all, plan_and_register

APP = ROOT / "app"
# What is no package, and may be imported by each.
BELOW = ("settings", "client")
PROGRAM = "app.http.wsgi"  # puts all packages together
TICKS = [tick for package in PACKAGES for tick in package.ticks]
METHODS = [
    name
    for package in PACKAGES
    for name in (*(tick.calls for tick in package.ticks), *package.visitors.values(), *package.trims)
]


def each(kind: str) -> list[str]:
    return [name for package in PACKAGES for name in getattr(package, kind)]


# Import strings -----------------------------------------------------------------------------------


def test_every_declaration_is_in_the_list_under_the_name_of_its_folder() -> None:
    assert {path.parent.name for path in APP.glob("*/package.py")} == set(NAMES)
    assert [declared(name).name for name in NAMES] == list(NAMES)


@pytest.mark.parametrize("name", each("blueprints"))
def test_a_blueprint_is_one(name: str) -> None:
    assert isinstance(resolve_name(name), Blueprint)


@pytest.mark.parametrize("name", each("metrics"))
def test_metrics_are_read_from_the_container(name: str) -> None:
    hints = get_type_hints(resolve_name(name))
    assert hints == {"container": Container, "return": Iterator[Metric]}


@pytest.mark.parametrize("name", each("checks"))
def test_a_check_returns_findings(name: str) -> None:
    hints = get_type_hints(resolve_name(name))
    assert hints["container"] is Container
    assert (get_origin(hints["return"]), get_args(hints["return"])) in [
        (get_origin(Iterable[WatchFinding]), (WatchFinding,)),
        (get_origin(Iterator[WatchFinding]), (WatchFinding,)),
    ]


@pytest.mark.parametrize("name", [one for package in PACKAGES for one in package.commands.values()])
def test_a_command_is_one(name: str) -> None:
    assert isinstance(resolve_name(name), click.Command)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_that_of_a_service_and_says_what_it_does(name: str) -> None:
    owner, _, method = name.rpartition(".")
    assert resolve_name(owner) in providers(PACKAGES)
    found = getattr(resolve_name(owner), method)
    assert inspect.isfunction(found)
    assert found.__doc__


@pytest.mark.parametrize("tick", TICKS, ids=lambda tick: tick.name)
def test_a_tick_needs_no_arguments_and_has_an_interval(tick: Tick) -> None:
    parameters = list(inspect.signature(resolve_name(tick.calls)).parameters.values())[1:]
    assert all(one.default is not one.empty for one in parameters)
    assert tick.seconds(Settings(redis_url="redis://unused")) > 0


def test_names_of_ticks_and_commands_and_visited_keys_are_given_once() -> None:
    for names in (
        [tick.name for tick in TICKS],
        [name for package in PACKAGES for name in package.commands],
        [word for package in PACKAGES for word in package.visitors],
    ):
        assert len(names) == len(set(names))


def test_a_package_visits_keys_of_its_own() -> None:
    for package in PACKAGES:
        for word in package.visitors:
            assert any(claim.startswith(f"{package.name}: ") for claim in claims_of(f"{word}:x"))


# Processes ----------------------------------------------------------------------------------------


def test_a_worker_makes_every_service_without_flask_click_and_prometheus_of_ours() -> None:
    look = (
        "import sys, json, workers.app, workers.ticks; from workers.container import system; system().make_all(); "
        "print(json.dumps([name for name in sys.modules if name.partition('.')[0] in "
        "('flask', 'flask_smorest', 'prometheus_client') or name.startswith(('app.http.', 'app.cli.'))]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=True
    )
    assert [name for name in json.loads(done.stdout) if name != "app.http.package"] == []


def test_every_service_can_be_made_and_opens_no_connection() -> None:
    container = Container(Settings(redis_url="redis://127.0.0.1:1"), PACKAGES)
    container.make_all()
    assert container.redis.connection_pool._created_connections == 0
    assert all(type(container[kind]) is kind for kind in providers(PACKAGES))


# Imports ------------------------------------------------------------------------------------------


def allowed(importer: str, imported: str) -> bool:
    """May a module of a package import this one? Only from itself, and from packages that stand before it in the list."""
    own, other = importer.split(".")[1], imported.split(".")[1]
    if importer == PROGRAM and other == "packages":
        return True
    if own not in NAMES:
        return own not in BELOW or other in BELOW or other == "platform"
    if other not in NAMES:
        return other in BELOW or (other == "cli" and importer.rpartition(".")[2].startswith("cli"))
    return NAMES.index(other) <= NAMES.index(own)


def test_a_package_imports_only_those_before_it() -> None:
    graph = grimp.build_graph("app", cache_dir=None)
    edges = [
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if importer.count(".") and imported.count(".")
    ]
    assert len(edges) > 500
    assert [f"{one} imports {other}" for one, other in sorted(edges) if not allowed(one, other)] == []


@pytest.mark.parametrize(
    ("importer", "imported", "may"),
    [
        ("app.planning.service", "app.outgoing.store", True),
        ("app.outgoing.store", "app.planning.service", False),
        ("app.planning.routes", "app.http.blueprints", True),
        ("app.platform.keys", "app.http.blueprints", False),
        ("app.platform.keys", "app.settings.model", True),
        ("app.settings.model", "app.planning.service", False),
        ("app.planning.service", "app.packages", False),
        ("app.planning.service", "app.cli.session", False),
        ("app.planning.cli", "app.cli.session", True),
        ("app.cli.doctor", "app.planning.service", True),
    ],
)
def test_what_may_be_imported(importer: str, imported: str, *, may: bool) -> None:
    assert allowed(importer, imported) is may


# Keys ---------------------------------------------------------------------------------------------


def samples(pattern: str) -> list[str]:
    return [pattern.replace("*", filling) for filling in ("x", "x:y", "x:y:z")]


def test_no_two_packages_claim_one_key() -> None:
    patterns = each("claims")
    assert len(patterns) == len(set(patterns))
    doubled = {key: claims_of(key) for pattern in patterns for key in samples(pattern)}
    assert {key: claims for key, claims in doubled.items() if len(claims) != 1} == {}


def documented() -> list[str]:
    """The keys of docs/data-model.md, each with something in the place of what differs."""
    table = (ROOT / "docs" / "data-model.md").read_text().partition("## Keys")[2].partition("\n## ")[0]
    found = []
    for row in table.splitlines():
        first = row.split(" | ")[0].removeprefix("| ")
        before = ""
        for name in re.findall(r"`([^`]+)`", first):
            stem = before.rpartition(":")[0] if before.count(":") else before
            before = name.replace("…:", f"{stem}:")
            found.append(re.sub(r"{[^}]+}", "x", before))
    return found


def test_every_documented_key_is_claimed_and_every_claim_is_documented() -> None:
    keys = documented()
    assert len(keys) > 80
    assert {key: claims_of(key) for key in keys if len(claims_of(key)) != 1} == {}
    claimed = {claim.partition(": ")[2] for key in keys for claim in claims_of(key)}
    assert sorted(set(each("claims")) - claimed) == []


def test_every_key_that_a_running_system_leaves_is_claimed(redis_client: Redis, tenant: str) -> None:
    container = build_system(redis_client, tenant, flags=True, allowed_cidrs=("127.0.0.0/8",))
    caller = Caller(create_app(container), BOOTSTRAP)
    run_a_system(container, caller)
    keys = list(redis_client.scan_iter(f"{tenant}:*"))
    assert len(keys) > 60
    assert wrongly_claimed(keys, f"{tenant}:") == {}


def run_a_system(container: Container, caller: Caller) -> None:
    """Something of everything that the API and the ticks do."""
    made = caller.post("/api/subscriptions", json=subscription())
    assert made.status_code == 201, made.text
    for number in (1, 2):
        plan_and_register(caller, number)
    deliver_all(container)
    caller.post("/api/custom/contentmedia/CM2/hold")
    caller.post("/api/tokens", json={"name": "reader", "scopes": ["read"]})
    caller.post("/api/custom/requests/discard", json={"state": "pending"})
    event = {"eventName": "asset-created", "assetId": 1, "guid": "g-1"}
    assert caller.post("/api/events/asset-operations", json=event).status_code == 202
    caller.delete("/api/custom/jobs/j-1")
    caller.delete("/api/custom/livestreams/registrations?livestreamId=L1&contentMediaId=CM1")
    container[Canaries].enrol("live@here", 1, ("live",))
    container[Canaries].pulse("beat@here", 2)
    container[Canaries].round()
    container[Runner].run(made.json["id"])
    for tick in TICKS:
        container.method(tick.calls)()
    assert caller.get("/metrics").status_code == 200


def subscription() -> dict[str, Any]:
    return {
        "topics": [{"topic": "asset-operations"}],
        "sink": {"type": "webhook", "url": "http://127.0.0.1:9/nobody"},
    }


# A declaration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "done", "line"),
    [
        ("{} promoted", 3, "3 promoted"),
        ("{} promoted", 0, None),
        ("{} promoted", None, None),
        ("{} mended", ["a", "b"], "2 mended"),
        ("{} mended", [], None),
        ("the store is full", True, "the store is full"),
        ("the store is full", False, None),
    ],
)
def test_a_tick_says_what_it_has_done(says: str, done: object, line: str | None) -> None:
    assert Tick(name="x", every=1, calls="", says=says).line(done) == line


def test_a_declaration_loads_nothing() -> None:
    look = "import sys, app.packages; print([name for name in sys.modules if name.endswith(('.service', '.routes'))])"
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
