"""CZI files, written by Zeiss' library, are read plane by plane, or not at all."""

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pylibCZIrw import czi

from haste_core.errors import BadInputError, PermanentError
from haste_workers.imaging.image import ImageBombError, ImageTooLargeError, Position, UnreadableImageError
from haste_workers.imaging.read import open_image, read_image
from tests.unit.imaging.pictures import field
from tests.unit.imaging.vendor_files import write_czi

WEIGHTS = np.array([0.2125, 0.7154, 0.0721])
SHAPE = (40, 48)


def noise(*numbers: int, shape: tuple[int, ...] = SHAPE, dtype: str = "uint16") -> NDArray[Any]:
    return np.random.default_rng(numbers).integers(0, np.iinfo(dtype).max, shape, dtype)


PLANES = {
    (scene, time, channel, z): noise(scene, time, channel, z)
    for scene in range(2)
    for time in range(2)
    for channel in range(3)
    for z in range(2)
}


@pytest.mark.parametrize("tile_px", [None, 16])
@pytest.mark.parametrize("compression", ["uncompressed:", "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack"])
def test_every_plane_is_where_it_was(tmp_path: Path, tile_px: int | None, compression: str) -> None:
    path = tmp_path / "é.czi"
    write_czi(path, PLANES, tile_px=tile_px, compression=compression)
    with open_image(path) as image:
        assert (image.format, image.dtype, image.bits, image.colour) == ("CZI", "uint16", 16, False)
        assert {plane.position for plane in image.planes} == {
            Position(scene=s, time=t, channel=c, z=z) for s, t, c, z in PLANES
        }
        for plane in image.planes:
            at = plane.position
            assert plane.decoded_bytes == 2 * SHAPE[0] * SHAPE[1]
            np.testing.assert_array_equal(plane.decode(), PLANES[at.scene, at.time, at.channel, at.z])


def test_what_the_file_tells(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    names = {0: "DAPI", 1: "Alexa 488", 2: "TL"}
    write_czi(path, PLANES, channel_names=names, scale_x=0.325e-6, scale_y=0.65e-6)
    scenes = "".join(
        f'<Scene Index="{n}"><CenterPosition>{1000 * n},-5.5</CenterPosition></Scene>' for n in range(2)
    )
    date = "<AcquisitionDateAndTime>2026-11-21T10:11:12Z</AcquisitionDateAndTime>"
    with czi.edit_czi(str(path)) as editor, editor.edit_session() as builder:
        told = builder.get_xml().replace("</Channels>", f"</Channels><S><Scenes>{scenes}</Scenes></S>", 1)
        builder.set_xml(told.replace("</Image>", f"{date}</Image>", 1))
    image = read_image(path, channel="alexa 488", scene=1, time=1, z=0)
    np.testing.assert_array_equal(image.pixels, PLANES[1, 1, 1, 0])
    assert image.facts.to_json() == {
        "format": "CZI",
        "dtype": "uint16",
        "bits": 16,
        "colour": False,
        "planes": 24,
        "plane": {"scene": 1, "time": 1, "channel": 1, "z": 0},
        "facts": {
            "channel_names": ("DAPI", "Alexa 488", "TL"),
            "pixel_size_um": (pytest.approx(0.65), pytest.approx(0.325)),
            "acquired": "2026-11-21T10:11:12Z",
            "stage_um": (1000.0, -5.5),
        },
    }


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colour_is_luminance(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "stained.czi"
    rgb = noise(1, shape=(*SHAPE, 3), dtype=dtype)
    write_czi(path, {(0, 0, 0, 0): rgb[..., ::-1]})
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, rgb @ WEIGHTS / np.iinfo(dtype).max, atol=1e-6)
    assert (image.facts.colour, image.facts.dtype) == (True, dtype)


def test_floats_and_8_bits_keep_their_levels(tmp_path: Path) -> None:
    for pixels in (noise(1).astype(np.float32) / 7, noise(2, dtype="uint8")):
        path = tmp_path / f"{pixels.dtype}.czi"
        write_czi(path, {(0, 0, 0, 0): pixels})
        np.testing.assert_array_equal(read_image(path).pixels, pixels)


def test_a_split_file_is_numbered_from_0(tmp_path: Path) -> None:
    path = tmp_path / "split.czi"
    write_czi(path, {(3, 5, c, 0): noise(c) for c in (1, 2)}, channel_names={0: "a", 1: "b", 2: "c"})
    image = read_image(path, scene=0, time=0, channel="c")
    np.testing.assert_array_equal(image.pixels, noise(2))
    assert image.facts.metadata.channel_names == ("b", "c")


def test_a_mosaic_with_a_gap_is_black_there_but_missing_tiles_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "slide.czi"
    with czi.create_czi(str(path), exist_ok=True) as document:
        for channel, places in ((0, (0, 48, 144)), (1, (0, 48))):
            for x in places:
                document.write(noise(x), location=(x, 0), plane={"C": channel, "T": 0, "Z": 0}, scene=0)
    pixels = read_image(path, channel=0).pixels
    expected = np.hstack([noise(0), noise(48), np.zeros(SHAPE), noise(144)])
    np.testing.assert_array_equal(pixels, expected)
    with pytest.raises(UnreadableImageError, match="2 of the 3 tiles"):
        read_image(path, channel=1)


def test_a_file_cut_anywhere_is_never_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    write_czi(path, {(0, 0, c, 0): field(c, SHAPE) for c in range(2)}, tile_px=24)
    content = path.read_bytes()
    padding_bytes = 16
    for length in [*range(0, len(content), len(content) // 40), len(content) - padding_bytes - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(UnreadableImageError):
            read_image(path)


def damaged_tile(content: bytes, *, data_bytes: int) -> bytes:
    """Let the first tile announce fewer bytes than its pixels need."""
    start = content.index(b"ZISRAWSUBBLOCK") + 32 + 8
    return content[:start] + struct.pack("<q", data_bytes) + content[start + 8 :]


def test_a_short_tile_is_not_filled_up_with_black(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    write_czi(path, {(0, 0, 0, 0): field(0, SHAPE)}, compression="uncompressed:")
    path.write_bytes(damaged_tile(path.read_bytes(), data_bytes=SHAPE[0] * SHAPE[1]))
    with pytest.raises(UnreadableImageError, match="a tile holds less"):
        read_image(path)


def test_a_directory_that_claims_more_than_the_file_holds_asks_for_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    write_czi(path, {(0, 0, 0, 0): noise(0)})
    content = path.read_bytes()
    start = content.index(b"ZISRAWDIRECTORY") + 16
    path.write_bytes(content[:start] + struct.pack("<qq", 2**50, 2**50) + content[start + 16 :])
    with pytest.raises(UnreadableImageError, match="not complete"):
        read_image(path)


def resized(path: Path, side_px: int) -> None:
    """Let the directory and the tile promise another size."""
    content = path.read_bytes()
    for axis in (b"X", b"Y"):
        old = struct.pack("<4si", axis, 0) + struct.pack("<i", 64)
        assert old in content
        start = struct.pack("<4sii", axis, 0, side_px)
        content = content.replace(old, start).replace(
            start + struct.pack("<fi", 0, 64), start + struct.pack("<fi", 0, side_px)
        )
    path.write_bytes(content)


def test_what_is_too_large_or_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path), exist_ok=True, compression_options="zstd0:ExplicitLevel=1") as document:
        document.write(field(0, (64, 64)), plane={"C": 0, "T": 0, "Z": 0})
    content = path.read_bytes()
    resized(path, 100_000)
    with pytest.raises(ImageTooLargeError, match="GB when decoded"):
        read_image(path)
    path.write_bytes(content)
    resized(path, 10_000)
    with pytest.raises(ImageBombError):
        read_image(path)


def test_chosen_planes_count_and_absent_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    write_czi(path, PLANES)
    plane_bytes = 2 * SHAPE[0] * SHAPE[1]
    read_image(path, channel=1, time=0, scene=0, max_bytes=2 * plane_bytes)
    with pytest.raises(ImageTooLargeError, match="choose a channel"):
        read_image(path, channel=1, time=0, max_bytes=2 * plane_bytes)
    with pytest.raises(BadInputError, match="no channel 3; there are 0 to 2"):
        read_image(path, channel=3)


def test_a_worker_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.czi"
    write_czi(path, {(0, 0, 0, 0): noise(0)})
    monkeypatch.setitem(sys.modules, "pylibCZIrw", None)
    with pytest.raises(PermanentError, match=r"a CZI file; to read it, install haste-server\[bioio\]"):
        read_image(path)
