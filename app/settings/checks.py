"""What a setting's value must be. Each check raises marshmallow's ValidationError with a sentence that doesn't repeat the value."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError

_TOKEN = re.compile(r"[A-Za-z0-9_\-.=+/]{32,}\Z", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9._~-]{1,128}\Z", re.ASCII)
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,512}\Z")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", re.ASCII)

Check = Callable[[Any], None]


def matches(pattern: str, wanted: str) -> Check:
    compiled = re.compile(
        rf"(?:{pattern.removeprefix('(?i)')})\Z", re.IGNORECASE if pattern.startswith("(?i)") else 0
    )

    def check(value: str) -> None:
        if not compiled.match(value):
            raise ValidationError(f"Must be {wanted}.")

    return check


def between(low: float, high: float) -> Check:
    def check(value: float) -> None:
        if not low <= value <= high:
            raise ValidationError(f"Must lie between {low:g} and {high:g}.")

    return check


def at_least(length: int) -> Check:
    def check(value: str) -> None:
        if len(value) < length:
            raise ValidationError(f"Must have at least {length} characters.")

    return check


def api_token(value: str) -> None:
    if not _TOKEN.match(value):
        raise ValidationError("Must have at least 32 characters, all of A-Z a-z 0-9 _ - . = + /")


def encryption_keys(value: str) -> None:
    for key in value.split():
        try:
            size = len(base64.b64decode(key, altchars=b"-_", validate=True))
        except ValueError:
            size = 0
        if size != 32:
            raise ValidationError(
                "Must be keys of 32 bytes in URL-safe base64 (44 characters), one a line, the newest first."
            )


def account_keys(shortest: int) -> Check:
    """`shortest`: characters of a key."""

    def check(value: list[str]) -> None:
        pairs = [one.strip().partition("=") for one in value]
        accounts = [account for account, _, _ in pairs]
        if not all(_ACCOUNT.match(account) and _KEY.match(key) for account, _, key in pairs):
            raise ValidationError(
                "Must be account=key, separated by commas; a key is visible ASCII without commas."
            )
        if len(set(accounts)) < len(accounts):
            raise ValidationError("Names an account twice.")
        if any(len(key) < shortest for _, _, key in pairs):
            raise ValidationError(f"Each key must have at least {shortest} characters.")

    return check


def header_name(value: str) -> None:
    if not _HEADER.match(value):
        raise ValidationError("Must be the name of an HTTP header.")


def printable(value: str) -> None:
    if not value.isascii() or not value.isprintable():
        raise ValidationError("Must be printable ASCII characters: it travels in an HTTP header.")


def readable(value: Path) -> None:
    if not value.is_file():
        raise ValidationError("Must be a file that can be read.")


def path_prefixes(value: list[str]) -> None:
    if not value or not all(re.match(r"/[\w./~-]*\Z", prefix) for prefix in value):
        raise ValidationError("Must be paths that start with '/', separated by commas.")


def redis_url(value: str) -> None:
    parts = urlsplit(value)
    reachable = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in {"redis", "rediss", "unix"} or not reachable:
        raise ValidationError("Must be redis://host:port/db, rediss://… or unix:///path.")


def http_url(value: str) -> None:
    wanted = ValidationError(
        "Must be http://host:port or https://host:port, without user, query or fragment."
    )
    try:
        parts = urlsplit(value)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise wanted from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_number:
        raise wanted
    if parts.username is not None or parts.query or parts.fragment:
        raise wanted


def cidrs(value: list[str]) -> None:
    try:
        for one in value:
            ipaddress.ip_network(one.strip())
    except ValueError:
        raise ValidationError(
            "Must be networks such as 10.1.0.0/16 or fd00::/8, separated by commas."
        ) from None


def no_blanks(value: list[str]) -> None:
    if not value or not all(re.match(r"\S+\Z", one.strip()) for one in value):
        raise ValidationError("Must be patterns such as orders-*, separated by commas.")
