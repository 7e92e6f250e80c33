"""What the API takes and answers, member by member, is what its callers were given: nothing of it changes unnoticed.

After a change that is meant: `python -m tests.unit.http.test_description`, and look at the difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import fakeredis

from app.http.factory import create_app
from tests.support.worker import ROOT
from tests.unit.http.conftest import build_system

GIVEN = ROOT / "tests" / "expectations" / "api.txt"


def described() -> str:
    """The description as text: a line for each member of a schema (`*`: always there) and each parameter."""
    app = create_app(build_system(fakeredis.FakeRedis(), "description"))
    spec: Any = app.test_client().get("/openapi.json").json
    lines = [*_paths(spec["paths"]), *_schemas(spec["components"]["schemas"])]
    return "\n".join(lines) + "\n"


def _paths(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in sorted(paths.items()):
        for method, operation in operations.items():
            if method != "parameters":
                yield f"{method.upper()} {path} {sorted(operation['responses'])}"
                for parameter in operation.get("parameters", ()):
                    yield _line(parameter["name"], parameter["schema"], parameter.get("required", False))


def _schemas(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(schemas.items()):
        yield name
        for member, given in sorted(schema.get("properties", {}).items()):
            yield _line(member, given, member in schema.get("required", ()))


def _line(name: str, given: Mapping[str, Any], required: bool) -> str:
    shown = {word: value for word, value in given.items() if word != "description"}
    return f"  {name}{'*' if required else ''} {json.dumps(shown, sort_keys=True)}"


def test_it_is_as_it_was_given() -> None:
    assert described() == GIVEN.read_text()


if __name__ == "__main__":
    GIVEN.write_text(described())
