"""Names, queues and URLs."""

from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_core.routing import OutsideRootsError, Roots, Route, normalise_name, path_from_file_url

ROOTS = Roots.parse(
    {"nas": "/mnt/nas", "plates": "/mnt/nas/plates", "scope": "Z:\\data", "unc": "\\\\srv\\share"}
)


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (PurePosixPath("/mnt/nas/a b#1/é.tif"), "root://nas/a%20b%231/%C3%A9.tif"),
        (PurePosixPath("/mnt/nas/plates/7/x.tif"), "root://plates/7/x.tif"),
        (PureWindowsPath("Z:\\data\\A01\\x.tif"), "root://scope/A01/x.tif"),
        (PureWindowsPath("\\\\srv\\share\\x.tif"), "root://unc/x.tif"),
        (PurePosixPath("/home/me/x.tif"), "file:///home/me/x.tif"),
        (PureWindowsPath("C:\\x y.tif"), "file:///C:/x%20y.tif"),
    ],
)
def test_a_path_is_named_by_the_root_that_fits_best(path: PurePath, url: str) -> None:
    assert ROOTS.url_of(path) == url
    if url.startswith("root"):
        assert ROOTS.path_of(url) == path
    else:
        assert path_from_file_url(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "root://nas/../etc/passwd",
        "root://nas/%2e%2e/etc/passwd",
        "root://other/x.tif",
        "file:///etc/passwd",
        "file:///mnt/nas/../../etc/passwd",
        "http://host/x.tif",
        "root://scope/C:/Windows/x",
        "root://scope/..\\..\\x",
    ],
)
def test_what_leaves_the_roots_is_refused(url: str) -> None:
    with pytest.raises(OutsideRootsError):
        ROOTS.path_of(url)


def test_the_refusal_names_the_folders_that_may_be_read() -> None:
    with pytest.raises(OutsideRootsError, match="plates=/mnt/nas/plates"):
        ROOTS.path_of("file:///elsewhere/x.tif")


def test_concrete_paths_are_understood() -> None:
    assert Roots.parse({"here": Path("/data")}).url_of(Path("/data/x.tif")) == "root://here/x.tif"


@given(
    st.lists(st.text(min_size=1).filter(lambda part: "/" not in part and part not in (".", "..")), min_size=1)
)
def test_any_posix_path_survives_the_round_trip(parts: list[str]) -> None:
    path = PurePosixPath("/mnt/nas", *[part.replace("\x00", "_") for part in parts])
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return
    assert ROOTS.path_of(ROOTS.url_of(path)) == path


@pytest.mark.parametrize("name", ["", "#", "-a", "a b", "a.b", "é", "x" * 101, "*"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        normalise_name(name)


def test_a_route_names_its_queue() -> None:
    route = Route(normalise_name(" Focus-Score "), "lab1")
    assert (route.routing_key, route.queue) == ("focus-score.lab1", "haste.focus-score.lab1")
