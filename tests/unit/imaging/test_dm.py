"""DM3 and DM4 files, written as the descriptions of their formats say."""

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haste_workers.imaging.image import ImageTooLargeError, Metadata, Position, UnreadableImageError
from haste_workers.imaging.read import open_image, read_image
from tests.unit.imaging.em_files import Tag, dm_bytes, dm_image
from tests.unit.imaging.pictures import field, planes_of


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a.dm"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
)
def test_images_keep_their_levels(tmp_path: Path, dtype: str, version: int, order: str) -> None:
    pixels = field(dtype="int8").astype(dtype)
    image = read_image(written(tmp_path, dm_bytes(dm_image(pixels), version=version, order=order)))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == dtype
    assert image.pixels.dtype.isnative
    facts = image.facts
    assert (facts.format, facts.dtype, facts.bits) == (f"DM{version}", dtype, pixels.itemsize * 8)
    assert (facts.colour, facts.planes) == (False, 1)


@pytest.mark.parametrize("version", [3, 4])
def test_planes_of_a_stack(tmp_path: Path, version: int) -> None:
    stack = np.stack([field(seed, (20, 30)) for seed in range(6)])
    for shape in [(6, 20, 30), (2, 3, 20, 30)]:
        path = written(tmp_path, dm_bytes(dm_image(stack.reshape(shape)), version=version))
        np.testing.assert_array_equal(planes_of(path), stack)
        with open_image(path) as image:
            assert [plane.position for plane in image.planes] == [Position(z=number) for number in range(6)]


def test_several_images_are_scenes(tmp_path: Path) -> None:
    images = [field(0, (20, 30)), field(1, (40, 10))]
    path = written(tmp_path, dm_bytes(*(dm_image(pixels) for pixels in images)))
    for scene, pixels in enumerate(images):
        image = read_image(path, scene=scene)
        np.testing.assert_array_equal(image.pixels, pixels)
        assert image.facts.planes == 2


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [3, 4])
def test_what_the_tags_tell(tmp_path: Path, version: int, order: str) -> None:
    tags: dict[str, Tag] = {
        # 2018-07-17 13:29:20 UTC, in 100 ns since 1601
        "DataBar": {"Acquisition Date": "7/17/2018", "Acquisition Time (OS)": 1.3176307760097974e17},
        "Microscope Info": {"Stage Position": {"Stage Alpha": 1.0, "Stage X": -5.5, "Stage Y": 7.0}},
    }
    if version == 4:
        tags["Microscope Info"] = {"Stage Position": {"Stage X": -5.5, "Stage Y": 7.0, "Stage Z": 1.0}}
    image = dm_image(field(), scales=(0.25, 0.5), unit="nm", **tags)
    metadata = read_image(written(tmp_path, dm_bytes(image, version=version, order=order))).facts.metadata
    assert metadata == Metadata(
        pixel_size_um=(5e-4, 2.5e-4),
        acquired="2018-07-17T13:29:20+00:00",
        stage_um=(-5.5, 7.0, 1.0) if version == 4 else (-5.5, 7.0),
    )


@pytest.mark.parametrize(
    ("scales", "unit", "expected"),
    [
        ((2.0, 2.0), "µm", (2.0, 2.0)),
        ((2.0, 2.0, 0.1), "Å", (2e-4, 2e-4)),
        ((2.0, 2.0), "1/nm", None),
        ((2.0, 2.0), "", None),
        ((2.0,), "nm", None),
        ((-2.0, 2.0), "nm", None),
        ((np.inf, np.nan), "nm", None),
        ((2.0, 2.0), "nm" + " " * 2000, None),
    ],
)
def test_only_lengths_are_sizes_of_pixels(
    tmp_path: Path, scales: tuple[float, ...], unit: str, expected: tuple[float, float] | None
) -> None:
    stage = {"Stage Position": {"Stage X": np.nan, "Stage Y": np.inf}}
    times = {"Acquisition Time (OS)": 1e300}
    image = dm_image(field(), scales, unit, DataBar=times, **{"Microscope Info": stage})
    metadata = read_image(written(tmp_path, dm_bytes(image))).facts.metadata
    assert metadata == Metadata(pixel_size_um=expected and pytest.approx(expected))


def _changed(image: Tag, **data: Any) -> Tag:
    return {"ImageData": {**image["ImageData"], **data}}  # type: ignore[call-overload,index]


GREY = dm_image(field(shape=(20, 30)))
DEEP: Tag = {}
for _ in range(100):
    DEEP = {"deeper": DEEP}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (dm_bytes(dm_image(np.zeros((4, 4), np.complex64))), "complex numbers or colours"),
        (dm_bytes(_changed(GREY, DataType=23)), "colours"),
        (dm_bytes(_changed(GREY, DataType="10")), "complex numbers or colours"),
        (dm_bytes(dm_image(field(shape=(1, 600))[0])), "1 axes, no image"),
        (dm_bytes(), "holds no image"),
        (dm_bytes(_changed(GREY, Dimensions=[30, 21])), "size is not that of its pixels"),
        (dm_bytes(_changed(GREY, Dimensions=[-30, -20])), "without pixels"),
        (dm_bytes(_changed(GREY, Dimensions=[0, 0], Data=np.zeros(0, np.uint16))), "without pixels"),
        (dm_bytes(_changed(GREY, Dimensions=[1] * 9)), "9 axes, no image"),
        (dm_bytes(_changed(GREY, Dimensions="30")), "0 axes, no image"),
        (dm_bytes(_changed(GREY, Data=1.0)), "size is not that of its pixels"),
        (dm_bytes(GREY, Deep=DEEP), "nested too deep"),
        (dm_bytes(GREY).replace(b"%%%%", b"%%%!", 1), "does not begin as it should"),
        (dm_bytes(GREY).replace(b"\x14\0\nThumbnails", b"\x16\0\nThumbnails"), "unknown kind 22"),
        (dm_bytes(GREY).replace(struct.pack(">QQ", 1, 3), struct.pack(">QQ", 1, 99)), "unknown type 99"),
        (struct.pack(">IQI2BQ", 4, 0, 1, 1, 0, 2**63), "incomplete DM file; was it still being written"),
    ],
)
def test_what_is_no_image(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(written(tmp_path, content))


def test_a_header_that_promises_more_than_the_file_holds_asks_for_no_memory(tmp_path: Path) -> None:
    content = dm_bytes(GREY)
    promises = content.replace(struct.pack(">QQQ", 20, 4, 600), struct.pack(">QQQ", 20, 4, 2**62))
    assert promises != content
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImageError, match="incomplete DM file"):
            read_image(written(tmp_path, promises))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10_000_000


def test_the_limit_is_checked_before_pixels_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, dm_bytes(dm_image(np.zeros((3, 2000, 2000), np.uint16))))
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLargeError, match=r"0\.0 GB when decoded"):
            read_image(path, max_bytes=23_999_999)
        _, peak_bytes = tracemalloc.get_traced_memory()
        read_image(path, max_bytes=24_000_000, z=1)
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4_000_000


def test_endless_tags_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haste_workers.imaging.formats.dm_tags._MAX_TAGS", 1000)
    path = written(tmp_path, dm_bytes(GREY, Many=[0] * 1000))
    with pytest.raises(UnreadableImageError, match="more than 1000 tags"):
        read_image(path)


def test_damaged_tags_are_errors_or_images(tmp_path: Path) -> None:
    """Every byte beside the pixels, set to others: nothing but an image or an error comes of it."""
    image = dm_image(field(shape=(4, 4)), scales=(1, 1), unit="nm", DataBar={"Acquisition Time (OS)": 1e17})
    path, read = tmp_path / "a.dm", 0
    for version in (3, 4):
        content = dm_bytes(image, version=version)
        for at in range(16, len(content), 2):
            path.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
            try:
                read_image(path)
                read += 1
            except UnreadableImageError:
                pass
    assert read > 50


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read_image(written(tmp_path, dm_bytes(GREY)))
    assert capfd.readouterr() == ("", "")
