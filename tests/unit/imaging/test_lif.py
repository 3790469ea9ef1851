"""LIF files, put together by hand, are read plane by plane as liffile reads them, or not at all."""

import sys
from pathlib import Path
from typing import Any

import liffile
import numpy as np
import pytest
from numpy.typing import NDArray

from haste_core.errors import PermanentError
from haste_workers.imaging.files import format_of
from haste_workers.imaging.image import ImageTooLargeError, Position, UnreadableImageError
from haste_workers.imaging.read import open_image, read_image
from tests.unit.imaging.vendor_files import LifImage, lif_bytes, stack_in_lif

WEIGHTS = np.array([0.2125, 0.7154, 0.0721])


def noise(*shape: int, dtype: str = "uint16") -> NDArray[Any]:
    return np.random.default_rng(shape).integers(0, np.iinfo(dtype).max, shape, dtype)


def written(tmp_path: Path, *images: LifImage, **more: str) -> Path:
    path = tmp_path / "test.lif"
    path.write_bytes(lif_bytes(*images, **more))
    return path


@pytest.mark.parametrize("axes", ["TZCYX", "TCZYX", "CTZYX", "TZYXC", "TZYCX"])
def test_every_plane_is_where_it_was(tmp_path: Path, axes: str) -> None:
    sizes = {"T": 2, "C": 3, "Z": 4, "Y": 20, "X": 24}
    pixels = noise(*(sizes[axis] for axis in axes))
    path = written(tmp_path, stack_in_lif("stack", pixels, axes))
    with liffile.LifFile(path) as lif:
        other = lif.images[0].asarray() if axes != "TZYXC" else pixels
        np.testing.assert_array_equal(other, pixels)
    in_order = pixels.transpose([axes.index(axis) for axis in "TZCYX"])
    with open_image(path) as image:
        assert (image.format, image.dtype, image.bits, image.colour) == ("LIF", "uint16", 16, False)
        assert len({plane.position for plane in image.planes}) == 2 * 3 * 4
        for plane in image.planes:
            at = plane.position
            np.testing.assert_array_equal(plane.decode(), in_order[at.time, at.z, at.channel])


def test_images_and_tiles_are_scenes(tmp_path: Path) -> None:
    mosaic, single = noise(3, 2, 16, 20), noise(24, 16, dtype="uint8")
    tiles = "".join(f'<Tile FieldX="{n}" FieldY="0" PosX="0.00{n}" PosY="-1e-6" PosZ="0"/>' for n in range(3))
    images = [
        stack_in_lif("single", single, "YX"),
        stack_in_lif(
            "mosaic", mosaic, "MCYX", more=f'<Attachment Name="TileScanInfo" FlipX="0">{tiles}</Attachment>'
        ),
        stack_in_lif("last", single + 1, "YX"),
    ]
    path = written(tmp_path, *images)
    with open_image(path) as image:
        positions = [plane.position for plane in image.planes]
    tile_positions = [Position(scene=1 + tile, channel=channel) for tile in range(3) for channel in range(2)]
    assert positions == [Position(), *tile_positions, Position(scene=4)]
    taken = read_image(path, scene=3, channel=1)
    np.testing.assert_array_equal(taken.pixels, mosaic[2, 1])
    assert taken.facts.metadata.stage_um == pytest.approx((2000.0, -1.0))
    np.testing.assert_array_equal(read_image(path, scene=4).pixels, single + 1)


def test_what_the_file_tells(tmp_path: Path) -> None:
    ticks = int((1_795_428_672 + 11_644_473_600) * 1e7)  # 2026-11-23T10:11:12Z since 1601, in 100 ns
    stack = stack_in_lif(
        "a", noise(2, 16, 20), "CYX", more=f"<TimeStampList>{ticks:x} {ticks + 9:x}</TimeStampList>"
    )
    facts = read_image(written(tmp_path, stack), channel="lut1").facts
    assert facts.position == Position(channel=1)
    assert facts.to_json()["facts"] == {
        "channel_names": ("LUT0", "LUT1"),
        "pixel_size_um": (pytest.approx(1.0), pytest.approx(1.0)),
        "acquired": "2026-11-23T10:11:12.000Z",
    }


def test_colour_is_luminance_though_rows_are_padded(tmp_path: Path) -> None:
    rgb = noise(16, 21, 3, dtype="uint8")
    padded = np.pad(rgb.reshape(16, -1), ((0, 0), (0, 1)))
    stained = LifImage(
        name="stained",
        memory=padded.tobytes(),
        dimensions=[(1, 21, 3, 1e-5), (2, 16, 64, 1e-5)],
        channels=[(8, 2 - n, tag, "") for n, tag in enumerate((1, 2, 3))],
    )
    image = read_image(written(tmp_path, stained))
    np.testing.assert_allclose(image.pixels, rgb[..., ::-1] @ WEIGHTS / 255, atol=1e-6)
    assert image.facts.colour


def test_a_scan_of_x_and_z_is_a_plane(tmp_path: Path) -> None:
    pixels = noise(5, 12, 30)
    path = written(tmp_path, stack_in_lif("xzt", pixels, "TZX"))
    np.testing.assert_array_equal(read_image(path, time=3).pixels, pixels[3])


def test_dimensions_without_a_name_of_their_own_count_as_planes(tmp_path: Path) -> None:
    rotations, planes = 2, 3
    pixels = noise(rotations, planes, 16, 20)
    path = written(tmp_path, stack_in_lif("a", pixels, "AZYX"))
    for z in range(rotations * planes):
        np.testing.assert_array_equal(read_image(path, z=z).pixels, pixels[z // planes, z % planes])


def test_channels_of_different_depths_are_refused(tmp_path: Path) -> None:
    image = LifImage(
        name="mixed",
        memory=bytes(3 * 20 * 16),
        dimensions=[(1, 20, 1, 1e-5), (2, 16, 20, 1e-5)],
        channels=[(8, 0, 0, "a"), (12, 20 * 16, 0, "b")],
    )
    with pytest.raises(UnreadableImageError, match="different depths"):
        read_image(written(tmp_path, image))


def test_a_file_cut_anywhere_is_never_read_in_part(tmp_path: Path) -> None:
    content = lif_bytes(*(stack_in_lif(f"image{n}", noise(2, 20, 24), "CYX") for n in range(2)))
    path = tmp_path / "cut.lif"
    for length in [*range(0, len(content), len(content) // 60), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(UnreadableImageError):
            read_image(path)


def test_what_is_whole_can_be_chosen_from_a_file_that_is_not(tmp_path: Path) -> None:
    images = [stack_in_lif(f"image{n}", noise(20, 24) + n, "YX") for n in range(2)]
    path = tmp_path / "cut.lif"
    path.write_bytes(lif_bytes(*images)[:-1])
    np.testing.assert_array_equal(read_image(path, scene=0).pixels, noise(20, 24))
    with pytest.raises(UnreadableImageError, match="pixels of 'image1' are not all in the LIF"):
        read_image(path, scene=1)


@pytest.mark.parametrize(
    ("dimensions", "error"),
    [
        ([(1, 100_000, 2, 1.0), (2, 100_000, 200_000, 1.0)], ImageTooLargeError),
        ([(1, 1000, 2, 1.0), (2, 1000, 2000, 1.0)], UnreadableImageError),
        ([(1, 10, 2, 1.0), (2, 10, 20, 1.0), (4, 2**31, 200, 1.0)], UnreadableImageError),
        ([(1, 10, 2, 1.0), (2, 10, -20, 1.0)], UnreadableImageError),
        ([(1, 10, 2, 1.0)], UnreadableImageError),
        ([(1, 0, 2, 1.0), (2, 10, 20, 1.0)], UnreadableImageError),
    ],
)
def test_headers_that_promise_too_much(
    tmp_path: Path, dimensions: list[tuple[int, int, int, float]], error: type[Exception]
) -> None:
    image = LifImage(name="x", memory=bytes(200), dimensions=dimensions, channels=[(16, 0, 0, "")])
    with pytest.raises(error):
        read_image(written(tmp_path, image))


def test_a_file_that_leads_to_others_is_refused(tmp_path: Path) -> None:
    written(tmp_path, stack_in_lif("secret", noise(20, 24), "YX")).rename(tmp_path / "other.lif")
    path = written(tmp_path, stack_in_lif("a", noise(20, 24), "YX"), more='<Reference File="other.lif"/>')
    with pytest.raises(UnreadableImageError, match="refers to other files"):
        read_image(path)
    same = written(tmp_path, *[stack_in_lif("a", noise(20, 24), "YX")] * 2)
    with pytest.raises(UnreadableImageError, match="the same name"):
        read_image(same)


def test_an_mrc_of_112_columns_is_no_lif(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(b"p\0\0\0" + bytes([112, 0, 0, 0, 42, 0, 0, 0, 2, 0, 0, 0]) + bytes(1008))
    with path.open("rb") as file, pytest.raises(UnreadableImageError):
        format_of(file)


def test_a_worker_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, stack_in_lif("a", noise(20, 24), "YX"))
    monkeypatch.setitem(sys.modules, "liffile", None)
    with pytest.raises(PermanentError, match=r"a LIF file; to read it, install haste-server\[bioio\]"):
        read_image(path)
