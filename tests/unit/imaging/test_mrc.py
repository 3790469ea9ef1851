"""MRC files: what mrcfile writes, and the headers that other programs write."""

import warnings
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from mrcfile.dtypes import get_ext_header_dtype

from haste_workers.imaging.image import ImageTooLargeError, Position, UnreadableImageError
from haste_workers.imaging.read import open_image, read_image
from tests.unit.features.fields import spots
from tests.unit.imaging.em_files import mrc_header
from tests.unit.imaging.pictures import field, planes_of

STACK = np.stack([field(seed, (20, 30), "int16") for seed in range(6)])


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a.mrc"
    path.write_bytes(content)
    return path


def positions(path: Path) -> list[Position]:
    with open_image(path) as image:
        return [plane.position for plane in image.planes]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
def test_what_mrcfile_writes_is_read(tmp_path: Path, dtype: str, order: str) -> None:
    pixels = field(dtype="int8").astype(dtype)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(pixels.astype(pixels.dtype.newbyteorder(order)))
    image = read_image(tmp_path / "a.mrc")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == dtype
    assert image.pixels.dtype.isnative
    assert type(image.pixels) is np.ndarray
    assert image.pixels.base is None or isinstance(image.pixels.base, np.ndarray)
    facts = image.facts
    assert (facts.format, facts.dtype, facts.bits, facts.colour) == ("MRC", dtype, pixels.itemsize * 8, False)


@pytest.mark.parametrize(("group", "volume"), [(0, 1), (0, 6), (1, 6), (4, 6)])
def test_sections_of_stacks_and_volumes_are_planes(tmp_path: Path, group: int, volume: int) -> None:
    header = mrc_header(STACK.shape, 1, group=group, volume=volume)
    path = written(tmp_path, header + STACK.tobytes())
    np.testing.assert_array_equal(planes_of(path), STACK)
    assert positions(path) == [Position(z=number) for number in range(6)]


def test_volumes_of_a_stack_are_scenes(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(STACK.reshape(2, 3, 20, 30))
    assert positions(tmp_path / "a.mrc") == [
        Position(scene=scene, z=z) for scene in range(2) for z in range(3)
    ]
    image = read_image(tmp_path / "a.mrc", scene=1, z=2)
    np.testing.assert_array_equal(image.pixels, STACK[5])


def test_the_sharpest_section_speaks(tmp_path: Path) -> None:
    stack = np.stack([spots(0, blur_px=blur_px) for blur_px in (4, 1, 6)]).astype(np.float32)
    path = written(tmp_path, mrc_header(stack.shape, 2) + stack.tobytes())
    assert read_image(path).facts.position == Position(z=1)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("extended_type", [b"", b"SERI", b"FEI1", b"AGAR"])
def test_extended_headers_are_stepped_over(tmp_path: Path, extended_type: bytes, order: str) -> None:
    header = mrc_header(STACK.shape, 1, order=order, extended_bytes=1360, extended_type=extended_type)
    path = written(tmp_path, header + b"\x3f" * 1360 + STACK.astype(order + "i2").tobytes())
    np.testing.assert_array_equal(planes_of(path), STACK)
    assert read_image(path).facts.metadata.stage_um is None


@pytest.mark.parametrize(
    ("imod_flags", "dtype"), [(None, "int8"), (0, "uint8"), (1, "int8"), (2, "uint8"), (13, "int8")]
)
def test_bytes_of_imod_have_no_sign_unless_it_says_so(
    tmp_path: Path, imod_flags: int | None, dtype: str
) -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(1, 8, 32)
    path = written(tmp_path, mrc_header(stored.shape, 0, imod_flags=imod_flags) + stored.tobytes())
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, stored[0].view(dtype))
    assert image.facts.dtype == dtype


@pytest.mark.parametrize("mark", [b"MAP ", b"MAP\0", b"MAPX"])
@pytest.mark.parametrize("stamp", [b"\x44\x41\0\0", bytes(4), b"\x11\x11\0\0", b"DDDD"])
@pytest.mark.parametrize("order", "<>")
def test_marks_and_stamps_that_are_seen_in_the_wild(
    tmp_path: Path, order: str, stamp: bytes, mark: bytes
) -> None:
    header = mrc_header(STACK.shape, 6, order=order, stamp=stamp, mark=mark)
    path = written(tmp_path, header + STACK.astype(order + "u2").tobytes())
    np.testing.assert_array_equal(planes_of(path), STACK)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"grid": (300, 200), "cell": (600.0, 300.0)}, (1.5e-4, 2e-4)),
        ({"grid": (300, 200), "cell": (600.0, 300.0), "order": ">"}, (1.5e-4, 2e-4)),
        ({"grid": (300, 200)}, None),
        ({"cell": (600.0, 300.0)}, None),
        ({"grid": (300, 200), "cell": (-600.0, 300.0)}, None),
        ({"grid": (300, 200), "cell": (np.inf, np.nan)}, None),
        ({"grid": (300, 200), "cell": (600.0, 300.0), "axes": (3, 2, 1)}, None),
    ],
)
def test_the_size_of_a_pixel_is_the_cell_by_its_grid(
    tmp_path: Path, header: dict[str, Any], expected: tuple[float, float] | None
) -> None:
    path = written(tmp_path, mrc_header((1, 4, 4), 1, **header) + bytes(32))
    assert read_image(path).facts.metadata.pixel_size_um == (expected and pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("extended_type", [b"FEI1", b"FEI2"])
def test_feis_extended_header_tells_the_stage(tmp_path: Path, extended_type: bytes, order: str) -> None:
    dtype = get_ext_header_dtype(extended_type, order)
    sections = np.zeros(3, dtype)
    sections["Metadata size"] = dtype.itemsize
    sections["Bitmask 1"] = [0b111 << 9, 0b111 << 9, 0b011 << 9]
    sections["X-Stage"], sections["Y-Stage"], sections["Z-Stage"] = -6.5e-4, [1e-6, 2e-6, 3e-6], 8e-5
    extended = sections.tobytes()
    header = mrc_header(
        (4, 20, 30), 1, order=order, extended_bytes=len(extended), extended_type=extended_type
    )
    path = written(tmp_path, header + extended + STACK[:4].astype(order + "i2").tobytes())
    with open_image(path) as image:
        stages = [plane.metadata.stage_um for plane in image.planes]
    assert stages == [pytest.approx((-650, 1, 80)), pytest.approx((-650, 2, 80)), None, None]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (mrc_header((1, 20, 30), 4) + bytes(4800), "complex numbers"),
        (mrc_header((1, 20, 30), 3) + bytes(2400), "complex numbers"),
        (mrc_header((1, 20, 30), 16) + bytes(1800), "colours"),
        (mrc_header((1, 20, 30), 101) + bytes(300), "newstack -mode 0"),
        (mrc_header((1, 20, 30), 99) + bytes(1200), "neither TIFF"),
        (mrc_header((0, 20, 30), 1), "without pixels; was the file still being written"),
        (mrc_header((-1, -20, 30), 1) + bytes(1200), "without pixels|no volumes"),
        (mrc_header((1, 20, 30), 1) + bytes(1199), "end at byte 2224, and the file at byte 2223; was"),
        (mrc_header((1, 20, 30), 1, extended_bytes=1), "being written or copied"),
        (mrc_header((1, 20, 30), 1, extended_bytes=-4) + bytes(1200), "negative length"),
        (mrc_header((2, 20, 30), 1) + bytes(5 * 1200), "2 section.*, but 3 more follow"),
        (mrc_header((6, 20, 30), 1, group=401, volume=4) + bytes(7200), "no volumes of 4"),
        (mrc_header((6, 20, 30), 1, group=401, volume=0) + bytes(7200), "no volumes of 0"),
        (mrc_header((2**31 - 1, 2**31 - 1, 2**31 - 1), 2) + bytes(9000), "being written or copied"),
        (mrc_header((200_000, 1, 1), 1) + bytes(400_000), "200000 planes"),
        (mrc_header((1, 20, 30), 1)[:600], "header is not complete"),
    ],
)
def test_what_is_no_whole_mrc(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(written(tmp_path, content))


def test_what_follows_the_last_section_and_is_none_is_ignored(tmp_path: Path) -> None:
    path = written(tmp_path, mrc_header(STACK.shape, 1) + STACK.tobytes() + b"<xml/>")
    np.testing.assert_array_equal(planes_of(path), STACK)


def test_what_is_too_large_is_refused_by_its_header(tmp_path: Path) -> None:
    path = written(tmp_path, mrc_header((1, 40_000, 40_000), 2))
    with path.open("r+b") as file:
        file.truncate(1024 + 40_000 * 40_000 * 4)  # sparse: it takes no room on the drive
    with pytest.raises(ImageTooLargeError, match=r"6\.4 GB when decoded"):
        read_image(path)


def test_damaged_headers_are_errors_or_images(tmp_path: Path) -> None:
    """Every byte of the header that is set, set to others: nothing but an image or an error comes of it."""
    header = mrc_header((2, 8, 8), 1, grid=(8, 8), cell=(8, 8), extended_bytes=64, extended_type=b"FEI1")
    content = header + bytes(64) + bytes(256)
    path = tmp_path / "a.mrc"
    read = 0
    with warnings.catch_warnings(action="error"):
        for at in np.flatnonzero(np.frombuffer(header, np.uint8)):
            for value in (0, 1, 127, 255):
                path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
                try:
                    read_image(path)
                    read += 1
                except UnreadableImageError:
                    pass
    assert read > 20
