"""ND2 files, put together by hand, are read frame by frame as the package nd2 reads them, or not at all."""

import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import nd2
import numpy as np
import pytest
from numpy.typing import NDArray

from haste_core.errors import BadInputError, PermanentError
from haste_workers.imaging.image import ImageBombError, ImageTooLargeError, Position, UnreadableImageError
from haste_workers.imaging.read import open_image, read_image
from tests.unit.imaging.vendor_files import focus_loop, nd2_bytes, stage_loop, time_loop

WEIGHTS = np.array([0.2125, 0.7154, 0.0721])
T, P, Z, C = 2, 2, 3, 2


def noise(*numbers: int, shape: tuple[int, ...] = (20, 25, C), dtype: str = "uint16") -> NDArray[Any]:
    return np.random.default_rng(numbers).integers(0, np.iinfo(dtype).max, shape, dtype)


FRAMES = {number: noise(number) for number in range(T * P * Z)}
LOOPS = [time_loop(T), stage_loop((10.0, 20.0), (-30.0, 40.5)), focus_loop(Z)]


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "test.nd2"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("padding_px", [0, 3])
def test_every_plane_is_where_it_was(tmp_path: Path, packed: bool, padding_px: int) -> None:
    content = nd2_bytes(FRAMES, loops=LOOPS, channels=["a", "b"], packed=packed, padding_px=padding_px)
    path = written(tmp_path, content)
    in_order = nd2.imread(path)
    assert in_order.shape == (T, P, Z, C, 20, 25)
    with open_image(path) as image:
        assert (image.format, image.dtype, image.bits, image.colour) == ("ND2", "uint16", 16, False)
        assert len({plane.position for plane in image.planes}) == T * P * Z * C
        for plane in image.planes:
            at = plane.position
            pixels = plane.decode()
            np.testing.assert_array_equal(pixels, in_order[at.time, at.scene, at.z, at.channel])
            frame = FRAMES[(at.time * P + at.scene) * Z + at.z]
            np.testing.assert_array_equal(pixels, frame[..., at.channel])


def test_what_the_file_tells(tmp_path: Path) -> None:
    path = written(tmp_path, nd2_bytes(FRAMES, loops=LOOPS, channels=["DAPI", "Alexa 488"]))
    facts = read_image(path, channel="alexa 488", scene=1, time=1, z=2).facts
    assert facts.to_json() == {
        "format": "ND2",
        "dtype": "uint16",
        "bits": 16,
        "colour": False,
        "planes": T * P * Z * C,
        "plane": {"scene": 1, "time": 1, "channel": 1, "z": 2},
        "facts": {
            "channel_names": ("DAPI", "Alexa 488"),
            "pixel_size_um": (0.325, 0.325),
            "acquired": "2023-02-25T06:00:00+00:00",
            "stage_um": (-30.0, 40.5),
        },
    }


def test_one_frame_without_loops(tmp_path: Path) -> None:
    path = written(tmp_path, nd2_bytes({0: noise(1, shape=(20, 25, 1))}))
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, noise(1, shape=(20, 25, 1))[..., 0])
    assert image.facts.metadata.stage_um == (100.0, -200.0, 3.0)


def test_more_frames_than_the_loops_tell_of_are_a_focus_series(tmp_path: Path) -> None:
    path = written(tmp_path, nd2_bytes(FRAMES, loops=LOOPS[:1], channels=["a", "b"]))
    with open_image(path) as image:
        assert [plane.position for plane in image.planes[::C]] == [Position(z=z) for z in FRAMES]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colour_is_luminance(tmp_path: Path, dtype: str) -> None:
    rgb = noise(1, shape=(20, 25, 3), dtype=dtype)
    image = read_image(written(tmp_path, nd2_bytes({0: rgb[..., ::-1]}, channels=["stained"])))
    np.testing.assert_allclose(image.pixels, rgb @ WEIGHTS / np.iinfo(dtype).max, atol=1e-6)
    assert (image.facts.colour, image.facts.dtype) == (True, dtype)


def test_frames_that_were_never_taken_are_no_planes(tmp_path: Path) -> None:
    taken = {number: FRAMES[number] for number in range(4)}
    path = written(tmp_path, nd2_bytes(taken, loops=LOOPS, channels=["a", "b"]))
    np.testing.assert_array_equal(read_image(path, scene=1, z=0, channel=0).pixels, FRAMES[3][..., 0])
    with pytest.raises(BadInputError, match="no time 1; there is only 0"):
        read_image(path, time=1)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_anywhere_is_never_read_in_part(tmp_path: Path, packed: bool) -> None:
    content = nd2_bytes({0: FRAMES[0]}, packed=packed, channels=["a", "b"])
    for length in [*range(0, len(content), len(content) // 40), len(content) - 1]:
        with pytest.raises(UnreadableImageError):
            read_image(written(tmp_path, content[:length]))
    with pytest.raises(UnreadableImageError, match="no map at its end; was it still being written"):
        read_image(written(tmp_path, content[:-1]))


def test_a_frame_that_is_not_where_it_should_be(tmp_path: Path) -> None:
    content = nd2_bytes({0: FRAMES[0]}, channels=["a", "b"])
    entry = content.rindex(b"ImageDataSeq|0!") + len(b"ImageDataSeq|0!")
    (offset,) = struct.unpack_from("<Q", content, entry)
    moved = content[:entry] + struct.pack("<Q", offset + 8) + content[entry + 8 :]
    overwritten = content[:offset] + bytes(4) + content[offset + 4 :]
    for damaged in (moved, overwritten):
        with pytest.raises(UnreadableImageError, match="not where its map says"):
            read_image(written(tmp_path, damaged))
    with pytest.raises(UnreadableImageError, match="a frame holds less"):
        read_image(written(tmp_path, nd2_bytes({0: FRAMES[0]}, channels=["a", "b"], uiHeight=21)))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"uiHeight": 200_000, "uiWidth": 200_000, "uiWidthBytes": 800_000}, ImageTooLargeError),
        ({"uiHeight": 9_000, "uiWidth": 9_000, "uiWidthBytes": 36_000, "packed": True}, ImageBombError),
        ({"uiHeight": 0}, UnreadableImageError),
        ({"uiComp": 2**30}, UnreadableImageError),
        ({"eCompression": 1}, UnreadableImageError),
        ({"uiBpcInMemory": 7}, UnreadableImageError),
    ],
)
def test_headers_that_promise_too_much(
    tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        read_image(written(tmp_path, nd2_bytes({0: FRAMES[0]}, channels=["a", "b"], **options)))


def test_loops_of_millions_are_not_listed(tmp_path: Path) -> None:
    loops = [time_loop(1000), focus_loop(1000)]
    path = written(tmp_path, nd2_bytes({1001: FRAMES[0]}, loops=loops, channels=["a", "b"]))
    read_image(path, channel=0)  # imports
    tracemalloc.start()
    try:
        image = read_image(path, channel=1)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(image.pixels, FRAMES[0][..., 1])
    assert image.facts.position == Position(time=1, z=1, channel=1)
    assert peak_bytes < 20_000_000


def test_a_worker_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, nd2_bytes({0: FRAMES[0]}, channels=["a", "b"]))
    monkeypatch.setitem(sys.modules, "nd2", None)
    with pytest.raises(PermanentError, match=r"an ND2 file; to read it, install haste-server\[bioio\]"):
        read_image(path)
