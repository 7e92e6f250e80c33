"""Paths at AVOS: those of content media, and the refusals and canonical form of generic ones.

In canonical form, all spellings that a server would treat alike are one string. So a caller that
writes `%41` for `A`, or `/contentmedia/` for `/contentMedia/`, meets the same field versions and
the same lane.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from app.platform.errors import BadRequest
from app.platform.keys import quoted

DEFAULT_PREFIXES: Final = ("/external/",)
MAX_PATH: Final = 4096  # well below the request line that servers commonly take (8 KiB)

_REMEMBERED: Final = 8192  # paths: each content media has two, and an update looks each up several times
_LIVE: Final = ("external", "contentMedia", "live")
_SOURCE: Final = ("technicalMedia", "sourceMedia")
_SEGMENT_SAFE: Final = (
    "!$&'()*+,;=:"  # with letters, digits and -._~ what RFC 3986 allows in a segment, less @
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
# `.`, `/`, `\` or a control character behind one or more layers of percent-encoding.
_HIDDEN = re.compile(r"%(25)*(2e|2f|5c|[01][0-9a-f]|7f)", re.IGNORECASE)


def live_path(content_media_id: str) -> str:
    """Where a content media's booking times and its lastModified are. Raises BadRequest for an
    unusable id."""
    return "/" + "/".join((*_LIVE, _id_segment(content_media_id)))


def source_path(content_media_id: str) -> str:
    """Where its source fields are patched; the trailing slash belongs to it."""
    return f"{live_path(content_media_id)}/{'/'.join(_SOURCE)}/"


def content_media_of(path: str) -> str | None:
    """The content media that a path lies under, as spelled in it; None for any other path."""
    segments = _plain_segments(path)
    if len(segments) < 4 or not segments[3]:
        return None
    if tuple(s.casefold() for s in segments[:3]) != tuple(s.casefold() for s in _LIVE):
        return None
    return segments[3]


@lru_cache(_REMEMBERED)
def get_path_for(path: str) -> str:
    """What is read for the lastModified of a PATCH to `path`: the content media, else the path
    itself."""
    content_media_id = content_media_of(path)
    return path if content_media_id is None else live_path(content_media_id)


@lru_cache(_REMEMBERED)
def section_of(path: str) -> tuple[str, ...]:
    """Where in the document read by `get_path_for` the members of a PATCH to `path` are shown."""
    if content_media_of(path) is None:
        return ()
    return tuple(segment for segment in _plain_segments(path)[4:] if segment)


def canonical_generic_path(path: str, prefixes: Sequence[str] = DEFAULT_PREFIXES) -> str:
    """The one spelling of a caller's path. Raises BadRequest (code `bad_path`, field `path`).

    A query is kept, under the same refusals. Under a content media there can be none, every segment
    is quoted with nothing left safe and the fixed parts get their own case, so that the path equals
    the one we write ourselves: field versions are kept by it.
    """
    _refuse(path)
    bare, question, query = path.partition("?")
    segments = _plain_segments(bare)
    if any(segment in (".", "..") for segment in segments):
        raise _bad("has dot segments")
    if content_media_of(bare) is not None:
        if question:
            raise _bad("is of a content media and holds a query")
        canonical = _under_content_media(segments)
    else:
        canonical = "/" + "/".join(quote(segment, safe=_SEGMENT_SAFE) for segment in segments)
    if not any(canonical.startswith(prefix) and len(canonical) > len(prefix) for prefix in prefixes):
        raise _bad(f"must begin with {' or '.join(prefixes)}")
    return canonical + question + quote(query, safe=_SEGMENT_SAFE + "/?%") if question else canonical


def _refuse(path: str) -> None:
    if not path.startswith("/"):
        raise _bad("must begin with one /, without scheme or host")
    if len(path) > MAX_PATH:
        raise _bad(f"is longer than {MAX_PATH} characters")
    if "//" in path:
        raise _bad("holds //")
    for character in "\\@#":
        if character in path:
            raise _bad(f"holds {character}")
    if _CONTROL.search(path):
        raise _bad("holds a control character")
    if _BAD_ESCAPE.search(path):
        raise _bad("holds a % that isn't followed by two hexadecimal digits")
    if not path.isascii() and _unencodable(path):
        raise _bad("isn't valid Unicode")
    if _HIDDEN.search(path):
        raise _bad("hides a dot, slash, backslash or control character behind a percent-encoding")


def _unencodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _under_content_media(segments: list[str]) -> str:
    content_media_id, *rest = segments[3:]
    base = live_path(content_media_id)
    named = [segment for segment in rest if segment]
    if not named:
        return base
    if tuple(s.casefold() for s in named) == tuple(s.casefold() for s in _SOURCE):
        return source_path(content_media_id)
    return base + "/" + "/".join(quoted(segment) for segment in rest)


def _plain_segments(path: str) -> list[str]:
    bare = path.split("?", 1)[0].removeprefix("/")
    try:
        return [unquote_to_bytes(segment).decode() for segment in bare.split("/")]
    except UnicodeError:
        raise _bad("isn't UTF-8") from None


def _id_segment(identifier: str) -> str:
    if identifier in ("", ".", ".."):
        raise BadRequest("An id may not be empty, '.' or '..'.", code="bad_id", field="contentMediaId")
    if _CONTROL.search(identifier):
        raise BadRequest("An id may not hold control characters.", code="bad_id", field="contentMediaId")
    try:
        return quoted(identifier)
    except UnicodeError:
        raise BadRequest("An id must be valid Unicode.", code="bad_id", field="contentMediaId") from None


def _bad(why: str) -> BadRequest:
    return BadRequest(f"The path {why}.", code="bad_path", field="path")
