"""Paths of Windows, read and written on any system."""

import ntpath
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_core.routing import NoFileNameError, OutsideRootsError, Roots, file_url, path_from_file_url
from haste_core.windows_paths import (
    LONGEST,
    extended,
    folded,
    is_device,
    is_windows_path,
    openable,
    plain,
    respelled,
    trouble_with_name,
)

NAMES = st.text(st.sampled_from("aB1 é#%.~µ&+()'😀con"), min_size=1, max_size=12).filter(
    lambda name: trouble_with_name(name) is None
)
STARTS = st.sampled_from(["C:\\", "z:\\", "\\\\srv\\share\\", "\\\\10.0.0.7\\d$\\"])
PATHS = st.builds(
    lambda start, names: start + "\\".join(names), STARTS, st.lists(NAMES, min_size=1, max_size=5)
)


@pytest.mark.parametrize(
    ("path", "long", "url"),
    [
        (r"C:\x", r"\\?\C:\x", "file:///C:/x"),
        (r"c:\Plate 7\é#1.tif", r"\\?\c:\Plate 7\é#1.tif", "file:///C:/Plate%207/%C3%A9%231.tif"),
        ("D:/mixed/and\\all", r"\\?\D:\mixed\and\all", "file:///D:/mixed/and/all"),
        (r"\\SRV\Share\x y.tif", r"\\?\UNC\SRV\Share\x y.tif", "file://srv/share/x%20y.tif"),
        ("//srv/share/x.tif", r"\\?\UNC\srv\share\x.tif", "file://srv/share/x.tif"),
        (r"\\?\C:\x", r"\\?\C:\x", "file:///C:/x"),
        (r"\\?\unc\srv\share\x", r"\\?\UNC\srv\share\x", "file://srv/share/x"),
        ("//?/C:/x", r"\\?\C:\x", "file:///C:/x"),
        ("C:\\", "\\\\?\\C:\\", "file:///C:/"),
    ],
)
def test_forms_of_one_path(path: str, long: str, url: str) -> None:
    assert extended(path) == long
    assert file_url(PureWindowsPath(path)) == url
    assert path_from_file_url(url) == PureWindowsPath(plain(path))
    assert is_windows_path(path.replace("/", "\\"))


@pytest.mark.parametrize("path", [r"\\.\pipe\x", r"\\?\Volume{1f}\x", r"\\.\C:\x", r"\\.\PhysicalDrive0"])
def test_devices_stay_and_have_no_url(path: str) -> None:
    assert extended(path) == plain(path) == path
    with pytest.raises(ValueError, match="names a device"):
        file_url(PureWindowsPath(path))


@pytest.mark.parametrize("path", ["x.tif", r"a\b", r"\x", "C:x", ""])
def test_what_is_not_absolute_is_not_extended(path: str) -> None:
    assert extended(path) == path


@pytest.mark.parametrize("path", ["/data/x.tif", "data", "./C", "~/x", "//nas/x"])
def test_paths_of_other_systems(path: str) -> None:
    assert not is_windows_path(path)


def test_only_long_paths_are_written_for_the_system() -> None:
    short = "C:\\" + "x" * (LONGEST - 3)
    assert openable(short) == short
    assert openable(f"{short}y") == f"\\\\?\\{short}y"
    share = "\\\\srv\\share\\" + "\\".join(["folder"] * 60)
    assert openable(share) == f"\\\\?\\UNC\\{share[2:]}"


@given(PATHS)
def test_any_path_survives_its_forms(path: str) -> None:
    assert plain(extended(path)) == path == ntpath.normpath(path)
    assert extended(extended(path)) == extended(path)
    url = file_url(PureWindowsPath(extended(path)))
    assert url.isascii()
    assert path_from_file_url(url) == PureWindowsPath(path)
    assert file_url(path_from_file_url(url)) == url


@given(PATHS, NAMES)
def test_any_path_below_a_root_survives_its_url(folder: str, name: str) -> None:
    roots = Roots.parse({"here": extended(folder)})
    path = PureWindowsPath(folder) / "sub" / name
    url = roots.url_of(path)
    assert url.startswith("root://here/sub/")
    assert str(roots.path_of(url)) == str(path)
    assert roots.url_of(PureWindowsPath(extended(str(path)))) == url


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("A01.TIF", "a01.tif", True),
        ("É.tif", "é.tif", True),
        ("ß.tif", "SS.tif", False),
        ("\u0131.tif", "I.tif", False),
        ("\u017f.tif", "S.tif", False),
        ("a.tif", "b.tif", False),
    ],
)
def test_which_names_windows_takes_for_one(first: str, second: str, one: bool) -> None:
    assert (folded(first) == folded(second)) is one


@given(st.text(max_size=30))
def test_folding_is_done_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert len(folded(text)) == len(text)


def test_the_disk_says_how_a_path_is_spelled() -> None:
    assert respelled("day2/A01.TIF", "Day2\\a01.tif") == "Day2/a01.tif"
    assert respelled("day2/link.tif", "Day1\\a01.tif") == "day2/link.tif"


@pytest.mark.parametrize(
    "name",
    ["con", "NUL.tif", "Aux.ome.tif", "com1", "LPT9.x", "COM¹", "con .tif", "conin$", "prn:x", "nul.\n"],
)
def test_devices(name: str) -> None:
    assert is_device(name)
    assert trouble_with_name(name)


@pytest.mark.parametrize("name", ["console.tif", "com10.tif", "null", "A01.con", "lpt", "auxiliary"])
def test_names_that_only_look_like_devices(name: str) -> None:
    assert not is_device(name)
    assert trouble_with_name(name) is None


@pytest.mark.parametrize(
    "name",
    ["a.tif.", "a.tif ", "..", ".", "", "a:b", "a.tif::$DATA", "a?", "a*", "a\tb", "x" * 256, "😀" * 128],
)
def test_names_that_no_file_has(name: str) -> None:
    assert trouble_with_name(name)


ROOTS = Roots.parse({"scope": "Z:\\data", "unc": "\\\\srv\\share", "nas": "/mnt/nas"})


@pytest.mark.parametrize(
    "url",
    [
        "root://scope/con",
        "root://scope/A01/nul.tif",
        "root://scope/a.tif%3a%3a$DATA",
        "root://unc/a.tif.",
        "root://unc/a.tif%20",
        "root://unc/sub/x%3Fy",
        "file:///Z:/data/con.tif",
        "file://SRV/share/a.tif.",
    ],
)
def test_no_url_leads_to_a_device_or_to_another_spelling(url: str) -> None:
    with pytest.raises(NoFileNameError, match="Windows has no file"):
        ROOTS.path_of(url)


def test_other_systems_have_files_that_windows_has_not() -> None:
    assert ROOTS.path_of("root://nas/con") == PurePosixPath("/mnt/nas/con")
    assert ROOTS.path_of("root://nas/a%3ab.") == PurePosixPath("/mnt/nas/a:b.")


@pytest.mark.parametrize(
    "url", ["file://./Z:/data/x.tif", "file://./pipe/x", "file://other/share/x.tif", "file:///Y:/data/x.tif"]
)
def test_what_lies_outside_the_roots(url: str) -> None:
    with pytest.raises(OutsideRootsError):
        ROOTS.path_of(url)


def test_two_spellings_of_a_drive_or_a_share_are_one_url() -> None:
    assert file_url(PureWindowsPath("c:\\x.tif")) == file_url(PureWindowsPath("C:\\x.tif"))
    assert file_url(PureWindowsPath("\\\\Srv\\SHARE\\x")) == file_url(PureWindowsPath("\\\\srv\\share\\x"))
    assert ROOTS.url_of(PureWindowsPath("z:\\DATA\\x.tif")) == "root://scope/x.tif"
    assert ROOTS.url_of(PureWindowsPath("\\\\?\\unc\\SRV\\Share\\x.tif")) == "root://unc/x.tif"
