"""Small files whose headers promise much, lead elsewhere or contradict themselves: each ends at once."""

import io
import json
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from haste_core.errors import BadInputError
from haste_workers.imaging.encode import write_smaller
from haste_workers.imaging.formats import dm, ome
from haste_workers.imaging.image import Position, check_count
from haste_workers.imaging.read import open_image, read_image
from tests.unit.imaging.em_files import dm_bytes, dm_image, mrc_header
from tests.unit.imaging.pictures import bare_tiff, field, page_tags, tiff_bytes
from tests.unit.imaging.vendor_files import LifImage, lif_bytes, nd2_bytes, write_czi

pytestmark = pytest.mark.timeout(60)

MANY = 10**9
PEAK_BYTES = 120_000_000


def refused(path: Path, reason: str) -> None:
    """Read a file, which has to fail without taking much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(BadInputError, match=reason):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES
    finally:
        tracemalloc.stop()


def chained_pages(count: int) -> bytes:
    """Write a TIFF of pages without tags."""
    pages = b"".join(struct.pack("<HI", 0, 8 + 6 * (n + 1) if n < count - 1 else 0) for n in range(count))
    return b"II*\0" + struct.pack("<I", 8) + pages


def described_tiff(description: str, pages: int = 1) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for number in range(pages):
            told = description if number == 0 else None
            writer.write(np.ones((16, 16), np.uint8), description=told, metadata=None, contiguous=False)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bare_tiff([*page_tags(16, 16, 512), (32997, 4, MANY)], bytes(512)), "declares 1000000000 planes"),
        (chained_pages(100_001), "more than 100000 are not looked through"),
        (described_tiff(json.dumps({"shape": [MANY, 16, 16]})), "more planes than it holds"),
    ],
    ids=["depth", "pages", "shape"],
)
def test_a_tiff_of_too_many_planes(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    refused(path, reason)


def test_ome_xml_that_lists_pages_over_and_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = '<TiffData IFD="0" PlaneCount="9"/>' * 12
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
        'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="16" SizeY="16" SizeZ="10" SizeC="1" '
        f'SizeT="1">{data}</Pixels></Image></OME>'
    )
    path = tmp_path / "a.tif"
    path.write_bytes(described_tiff(xml, pages=10))
    with open_image(path) as image:
        assert len(image.planes) == 10
    monkeypatch.setattr(ome, "check_count", partial(check_count, most=100))
    refused(path, "declares 101 planes")


def test_the_channels_of_a_page_are_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    channels = np.stack([field(number) for number in range(6)])
    tifffile.imwrite(path, channels, photometric="minisblack", planarconfig="separate", metadata=None)
    assert read_image(path, channel=4, max_bytes=channels.nbytes).facts.position == Position(channel=4)
    assert read_image(path, max_bytes=channels.nbytes).facts.planes == 6
    with pytest.raises(BadInputError, match="the limit is"):
        read_image(path, channel=4, max_bytes=channels.nbytes - 1)


def nd_tiff(pixels: NDArray[np.uint16]) -> bytes:
    """Write a page as Micro-Manager's NDTiff storage does; its index is a file of its own."""
    height, width = pixels.shape
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 1, value)
        for tag, kind, value in [*page_tags(width, height, pixels.nbytes), (51123, 1, 24)]
    )
    head = b"II*\0" + struct.pack("<5I2s", 32, 483729, 2, 2355492, 2, b"{}")
    page = struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    return (head.ljust(32, b"\0") + page).ljust(200, b"\0") + pixels.tobytes()


def test_an_index_beside_a_tiff_leads_nowhere(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.tif", field()
    path.write_bytes(nd_tiff(pixels))
    axes, name = b'{"z": 0}', b"../elsewhere/b.tif"
    entry = struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name
    (tmp_path / "NDTiff.index").write_bytes(entry + struct.pack("<IiiiiIii", 0, 80, 96, 1, 0, 0, 0, 0))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ndtiff
        with pytest.raises(FileNotFoundError, match="elsewhere"):
            assert tiff.series
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


def test_a_jpeg_in_a_tiff_that_is_cut_off_is_not_filled_up_with_grey(tmp_path: Path) -> None:
    pixels = field(dtype="uint8")
    packed = bytes(imagecodecs.jpeg8_encode(pixels))
    tags = [
        (tag, kind, 8 if tag == 258 else value) for tag, kind, value in page_tags(80, 96, 0, compression=7)
    ]
    path = tmp_path / "a.tif"

    def write(jpeg: bytes) -> None:
        sized = [(tag, kind, len(jpeg) if tag == 279 else value) for tag, kind, value in tags]
        path.write_bytes(bare_tiff(sized, jpeg))

    write(packed + bytes(3))
    np.testing.assert_array_equal(read_image(path).pixels, imagecodecs.jpeg8_decode(packed))
    write(packed[: len(packed) // 2])
    refused(path, "page 1 of the TIFF holds a JPEG that is cut off")


def test_jpeg_xr_in_a_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(field(), compression="jpegxr"))
    refused(path, "JPEG XR; export it")
    assert write_smaller(path, tmp_path / "smaller") is None


def test_images_of_a_dm_file_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, planes = tmp_path / "a.dm4", np.ones((90, 1, 1), np.uint8)
    path.write_bytes(dm_bytes(*[dm_image(planes) for _ in range(6)]))
    monkeypatch.setattr(dm, "check_count", partial(check_count, most=500))
    refused(path, "declares 540 planes")


def test_an_mdoc_of_blanks_takes_no_time(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.mrc", field(dtype="int16")
    path.write_bytes(mrc_header((1, *pixels.shape), 1) + pixels.tobytes())
    (tmp_path / "a.mrc.mdoc").write_text("[a=" + " " * 1_000_000)
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


def lif_of(dimensions: Sequence[tuple[int, int, int, float]]) -> bytes:
    image = LifImage(name="a", memory=bytes(40_000), dimensions=dimensions, channels=[(8, 0, 0, "")])
    return lif_bytes(image)


def test_rows_of_a_lif_that_lie_over_one_another_are_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "a.lif"
    path.write_bytes(lif_of([(1, 12_000, 1, 1e-3), (2, 12_000, 2, 1e-3)]))
    refused(path, "144 MB would unpack from 0.036 MB")


def test_a_lif_whose_xml_is_longer_than_the_file_asks_for_no_memory(tmp_path: Path) -> None:
    content = bytearray(lif_of([(1, 100, 1, 1e-3), (2, 100, 100, 1e-3)]))
    struct.pack_into("<I", content, 9, 2**31)
    path = tmp_path / "a.lif"
    path.write_bytes(content)
    refused(path, "the LIF is not complete")


def test_rows_of_an_nd2_without_a_width_in_bytes_lie_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "a.nd2"
    frame = np.random.default_rng(3).integers(0, 4000, (40, 48, 2), np.uint16)
    path.write_bytes(nd2_bytes({0: frame}, channels=("a", "b"), uiWidthBytes=0))
    for channel in (0, 1):
        np.testing.assert_array_equal(read_image(path, channel=channel).pixels, frame[..., channel])


def test_metadata_of_an_nd2_that_unpack_without_end(tmp_path: Path) -> None:
    content = nd2_bytes({0: np.ones((200, 240, 1), np.uint16)})
    # The chunk of the pixels, under another name, is large enough.
    start = content.index(b"ImageDataSeq|0!") + 4072
    named = content.replace(b"ImageDataSeq|0!", b"ImageTextInfo0!")
    packed = b"\x4c\0" + bytes(10) + zlib.compress(bytes(60_000_000), 9)
    assert len(packed) < 200 * 240 * 2
    path = tmp_path / "a.nd2"
    path.write_bytes(named[:start] + packed + named[start + len(packed) :])
    refused(path, "its metadata unpack without end")


def test_a_part_of_an_nd2_that_is_larger_than_the_file_asks_for_no_memory(tmp_path: Path) -> None:
    content = bytearray(nd2_bytes({0: np.ones((40, 48, 1), np.uint16)}))
    struct.pack_into("<Q", content, content.index(b"ImageAttributesLV!") - 8, 2**33)
    path = tmp_path / "a.nd2"
    path.write_bytes(content)
    refused(path, "larger than the file")


@pytest.mark.parametrize(
    ("at", "form", "value", "reason"),
    [
        (32 + 16 + 28, "<i", 2**24, "other dimensions than its directory says"),
        (32 + 8, "<q", -(2**60), "negative size"),
    ],
    ids=["dimensions", "size"],
)
def test_a_tile_of_a_czi_that_would_crash_the_process(
    tmp_path: Path, at: int, form: str, value: int, reason: str
) -> None:
    path = tmp_path / "a.czi"
    write_czi(path, {(0, 0, 0, 0): field()})
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, content.index(b"ZISRAWSUBBLOCK") + at, value)
    path.write_bytes(content)
    refused(path, reason)
