"""A mutant, its id, the packages that are mutated, the sample of a seed."""

from __future__ import annotations

import difflib
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "app/outgoing",
    "app/planning",
    "app/registrations",
    "app/avos",
    "app/events/consumers",
)


@dataclass(frozen=True)
class Mutant:
    """One change: `before` at these places of the file's text becomes `after`. `scope` is the function it stands in."""

    path: str
    start: int
    end: int
    line: int
    scope: str
    kind: str
    before: str
    after: str
    id: str = ""

    def apply(self, text: str) -> str:
        assert text[self.start : self.end] == self.before, f"{self.id}: {self.path} has changed"
        return text[: self.start] + self.after + text[self.end :]

    def diff(self, text: str) -> str:
        lines = difflib.unified_diff(
            text.splitlines(), self.apply(text).splitlines(), self.path, self.path, lineterm="", n=1
        )
        return "\n".join(list(lines)[2:])


def numbered(mutants: Iterable[Mutant]) -> list[Mutant]:
    """With ids: of what is changed where, and its number among equals; equal changes of one place once."""
    seen: Counter[str] = Counter()
    places: set[tuple[int, int, str]] = set()
    made = []
    for one in mutants:
        place = (one.start, one.end, one.after)
        if place in places or one.before == one.after:
            continue
        places.add(place)
        text = "\0".join((one.path, one.scope, one.kind, " ".join(one.before.split()), one.after))
        seen[text] += 1
        digest = hashlib.sha256(f"{text}\0{seen[text]}".encode()).hexdigest()[:8]
        made.append(
            Mutant(one.path, one.start, one.end, one.line, one.scope, one.kind, one.before, one.after, digest)
        )
    return made


def package_of(path: str) -> str:
    return next((package for package in PACKAGES if path.startswith(f"{package}/")), "elsewhere")


def files(root: Path, packages: Iterable[str] = PACKAGES) -> list[Path]:
    found = [file for package in packages for file in (root / package).rglob("*")]
    return sorted(file for file in found if file.suffix in {".py", ".lua"})


def sample(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """`count` of them, spread over packages and languages by how many lines can be mutated; of a line, one at a time."""
    parts: dict[tuple[str, bool], dict[tuple[str, int], list[Mutant]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for one in mutants:
        parts[package_of(one.path), one.path.endswith(".lua")][one.path, one.line].append(one)
    total = sum(len(lines) for lines in parts.values())
    chosen: list[Mutant] = []
    for part, lines in sorted(parts.items()):
        chance = random.Random(f"{seed}-{part}")
        keys = sorted(lines)
        chance.shuffle(keys)
        wanted = round(count * len(lines) / total)
        chosen += [chance.choice(lines[key]) for key in keys[:wanted]]
    return chosen
