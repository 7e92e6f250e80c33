"""Which package a Redis key belongs to, by what the packages claim."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from app.packages import PACKAGES


def claims_of(key: str) -> list[str]:
    """The claims that fit a key, which is given without its tenant's prefix: `package: pattern`."""
    return [
        f"{package.name}: {pattern}"
        for package in PACKAGES
        for pattern in package.claims
        if fnmatchcase(key, pattern)
    ]


def wrongly_claimed(keys: Iterable[bytes], prefix: str) -> dict[str, list[str]]:
    """Keys that no package claims, or two of them, with those claims; `keys` are whole names."""
    names = [key.decode(errors="replace") for key in keys]
    found = {name: claims_of(name.removeprefix(prefix)) for name in names if name.startswith(prefix)}
    return {name: claims for name, claims in found.items() if len(claims) != 1}
