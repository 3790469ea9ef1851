"""Which files a scan and a watch take for sidecars, and how long they wait for them."""

from pathlib import Path

import pytest

from haste_client.directory import ImageFile, Selection, look_at, scan
from haste_client.settling import Settling
from haste_client.sidecars import Sidecar, SidecarRules
from haste_client.watching import watch


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"pixels of " + name.encode())


def sidecars_in(folder: Path, **rules: tuple[str, ...]) -> dict[str, set[str]]:
    """Tell the sidecars of each image, as a scan sees them and as a second look at each one does."""
    found = scan(folder, Selection(sidecars=SidecarRules(**rules)))
    root = folder.resolve()

    def names(file: ImageFile | None) -> set[str]:
        assert file is not None
        return {path.relative_to(root).as_posix() for path in file.sidecar_paths}

    scanned = {file.source_id: names(file) for file in found.files}
    beside = {source_id: found.sidecars[source_id.rpartition("/")[0]] for source_id in scanned}
    assert scanned == {name: names(look_at(root, name, beside[name])) for name in scanned}
    return scanned


def test_sidecars_of_images_are_called_like_them(tmp_path: Path) -> None:
    made(
        tmp_path,
        "a.tif",
        "a.xml",
        "a.tif.mdoc",
        "a1.xml",
        "b.tif",
        "B.xml",
        "c/ts_003.st",
        "c/ts_003.st.mdoc",
    )
    assert sidecars_in(tmp_path) == {
        "a.tif": {"a.xml", "a.tif.mdoc"},
        "b.tif": set(),
        "c/ts_003.st": {"c/ts_003.st.mdoc"},
    }


@pytest.mark.parametrize("ending", [".xml", ".XML", ".Xml"])
def test_any_case_of_the_ending(tmp_path: Path, ending: str) -> None:
    made(tmp_path, "a.tif", f"a{ending}")
    assert sidecars_in(tmp_path) == {"a.tif": {f"a{ending}"}}


def test_movies_of_epu_have_the_sidecar_of_their_exposure(tmp_path: Path) -> None:
    made(tmp_path, "FoilHole_1_Data_2_fractions.tiff", "FoilHole_1_Data_2.xml", "FoilHole_1_Data.xml")
    assert sidecars_in(tmp_path) == {"FoilHole_1_Data_2_fractions.tiff": {"FoilHole_1_Data_2.xml"}}


def test_sidecars_of_folders_belong_to_all_images_in_and_below(tmp_path: Path) -> None:
    made(tmp_path, "plate7.HTD", "TimePoint_1/plate7_A01.TIF", "Images/Index.idx.xml", "Images/r01.tiff")
    assert sidecars_in(tmp_path) == {
        "Images/r01.tiff": {"Images/Index.idx.xml"},
        "TimePoint_1/plate7_A01.TIF": {"plate7.HTD"},
    }


def test_of_several_in_one_folder_each_has_the_images_that_are_called_like_it(tmp_path: Path) -> None:
    made(tmp_path, "p7.HTD", "p8.htd", "p7_A01.TIF", "P8_A01.TIF", "other.TIF", "scan.xdce")
    assert sidecars_in(tmp_path) == {
        "other.TIF": {"scan.xdce"},
        "P8_A01.TIF": {"p8.htd", "scan.xdce"},
        "p7_A01.TIF": {"p7.HTD", "scan.xdce"},
    }


def test_the_lists_can_be_changed(tmp_path: Path) -> None:
    made(tmp_path, "a.tif", "a.xml", "a.json", "notes.txt")
    rules = {"of_images": (".json",), "of_folders": ("notes.*",)}
    assert sidecars_in(tmp_path, **rules) == {"a.tif": {"a.json", "notes.txt"}}
    assert sidecars_in(tmp_path, of_images=(), of_folders=()) == {"a.tif": set()}


def test_an_image_rests_as_long_as_its_sidecar() -> None:
    def seen(size_bytes: int | None) -> ImageFile:
        path = Path("/plate/a.xml")
        sidecars = () if size_bytes is None else (Sidecar(path, size_bytes, 5),)
        return ImageFile(Path("/plate/a.tif"), "a.tif", 10, 1000, sidecars)

    settling = Settling(2.0, examine=lambda _path: None)
    settling.saw(seen(None), 100.0)
    settling.saw(seen(1), 101.0)
    settling.saw(seen(2), 102.5)
    settling.saw(seen(2), 104.4)
    assert settling.complete(104.4, at_most=9) == []
    settling.saw(seen(2), 104.5)
    assert settling.complete(104.5, at_most=9) == [seen(2)]
    settling.saw(seen(3), 110.0)  # too late: it would be the same job
    assert settling.complete(200.0, at_most=9) == []


def test_a_watch_finds_a_sidecar_that_comes_while_its_image_rests(tmp_path: Path) -> None:
    made(tmp_path, "a.tif")
    reported: list[ImageFile] = []

    def bring(_watch: object) -> None:
        if not (tmp_path / "a.tif.mdoc").exists():
            made(tmp_path, "a.tif.mdoc")

    watch(tmp_path, reported.extend, settle_s=0.2, poll_s=0.05, once=True, on_look=bring)
    assert [path.name for file in reported for path in file.sidecar_paths] == ["a.tif.mdoc"]
