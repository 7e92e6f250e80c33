"""Paths at AVOS: quoting, canonical spelling, refusals, and whose lane a path is in."""

from __future__ import annotations

import pytest

from app.avos.paths import (
    canonical_generic_path,
    content_media_of,
    get_path_for,
    live_path,
    section_of,
    source_path,
)
from app.platform.errors import BadRequest

LIVE = "/external/contentMedia/live/"


@pytest.mark.parametrize(
    ("identifier", "segment"),
    [
        ("C1", "C1"),
        ("a/b", "a%2Fb"),
        ("../x", "..%2Fx"),
        ("a b:c@d?e#f;g", "a%20b%3Ac%40d%3Fe%23f%3Bg"),
        ("%2e", "%252e"),
        ("ä", "%C3%A4"),
        ("a.b-c_d~e", "a.b-c_d~e"),
        ("...", "..."),
    ],
)
def test_ids_are_quoted_with_nothing_left_safe(identifier: str, segment: str) -> None:
    assert live_path(identifier) == LIVE + segment
    assert source_path(identifier) == f"{LIVE}{segment}/technicalMedia/sourceMedia/"
    assert content_media_of(source_path(identifier)) == identifier


@pytest.mark.parametrize("identifier", ["", ".", "..", "a\0b", "a\nb", "\x7f", "\ud800"])
def test_unusable_ids_are_refused(identifier: str) -> None:
    with pytest.raises(BadRequest) as caught:
        live_path(identifier)
    assert (caught.value.code, caught.value.field) == ("bad_id", "contentMediaId")


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/external/x", "/external/x"),
        ("/external/x/", "/external/x/"),
        ("/external/%78", "/external/x"),
        ("/external/a:b(1),c;d=e", "/external/a:b(1),c;d=e"),
        ("/external/a b", "/external/a%20b"),
        ("/external/a%20b", "/external/a%20b"),
        ("/external/%40home", "/external/%40home"),
        ("/external/ä", "/external/%C3%A4"),
        ("/external/x?since=1&to=a b", "/external/x?since=1&to=a%20b"),
        ("/external/x?q=%20", "/external/x?q=%20"),
        (LIVE + "%41bc", LIVE + "Abc"),
        (LIVE + "Abc/", LIVE + "Abc"),
        ("/external/CONTENTMEDIA/%4cive/Abc", LIVE + "Abc"),
        ("/external/contentmedia/live/C/technicalmedia/SOURCEMEDIA", source_path("C")),
        (LIVE + "C/technicalMedia/sourceMedia/", source_path("C")),
        (LIVE + "C;v=1", LIVE + "C%3Bv%3D1"),
        (LIVE + "C/other/", LIVE + "C/other/"),
    ],
)
def test_paths_have_one_spelling(path: str, canonical: str) -> None:
    assert canonical_generic_path(path) == canonical
    assert canonical_generic_path(canonical) == canonical


@pytest.mark.parametrize(
    "path",
    [
        "",
        "external/x",
        "//external/x",
        "http://host/external/x",
        "/external",
        "/external/",
        "/internal/x",
        "/External/x",
        "/externalx",
        "/external//x",
        "/external/../x",
        "/external/./x",
        "/external/..",
        "/external/%2e%2e/x",
        "/external/%2E/x",
        "/external/a%2fb",
        "/external/a%2Fb",
        "/external/a%5cb",
        "/external/a%252fb",
        "/external/%25252E",
        "/external/a\\b",
        "/external/user@host",
        "/external/x#y",
        "/external/x\r\nHost: y",
        "/external/x%0d%0aHost",
        "/external/x%00",
        "/external/x%2500",
        "/external/\x7f",
        "/external/\x85",
        "/external/%zz",
        "/external/%",
        "/external/%ff",
        "/external/\ud800",
        "/external/x?\ud800",
        "/external/x?u=http://host",
        "/external/" + "x" * 5000,
        LIVE + "C/%2e%2e/D",
        LIVE + "C?x=1",
        LIVE + "C?",
    ],
)
def test_paths_that_could_mean_something_else_are_refused(path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        canonical_generic_path(path)
    assert (caught.value.code, caught.value.field) == ("bad_path", "path")


def test_other_prefixes_can_be_allowed() -> None:
    assert canonical_generic_path("/hooks/a", ("/external/", "/hooks/")) == "/hooks/a"


@pytest.mark.parametrize(
    ("path", "content_media", "get_path", "section"),
    [
        (LIVE + "C", "C", LIVE + "C", ()),
        (LIVE + "C/", "C", LIVE + "C", ()),
        (LIVE + "C?x=1", "C", LIVE + "C", ()),
        (LIVE + "a%2Fb/any/thing", "a/b", LIVE + "a%2Fb", ("any", "thing")),
        (source_path("C"), "C", LIVE + "C", ("technicalMedia", "sourceMedia")),
        ("/external/contentmedia/LIVE/C", "C", LIVE + "C", ()),
        ("/external/%63ontentMedia/live/C", "C", LIVE + "C", ()),
        (LIVE, None, LIVE, ()),
        (LIVE[:-1], None, LIVE[:-1], ()),
        ("/external/other/C", None, "/external/other/C", ()),
        ("/external/contentMedia/vod/C", None, "/external/contentMedia/vod/C", ()),
    ],
)
def test_a_path_under_a_content_media_belongs_to_it(
    path: str, content_media: str | None, get_path: str, section: tuple[str, ...]
) -> None:
    assert content_media_of(path) == content_media
    assert get_path_for(path) == get_path
    assert section_of(path) == section
