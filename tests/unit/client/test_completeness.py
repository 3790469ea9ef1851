from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from haste_client.completeness import missing_part

PIXELS = np.random.default_rng(7).integers(0, 4000, (64, 48), dtype=np.uint16)
STACK = np.stack([PIXELS, PIXELS + 1, PIXELS + 2])


def tiff(**options: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tifffile.imwrite(path, STACK, photometric="minisblack", **options)  # type: ignore[arg-type]

    return write


def sub_ifds(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK[0], subifds=1)
        writer.write(STACK[1][::2, ::2], subfiletype=1)


def png(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, "PNG")


def jpeg(path: Path) -> None:
    Image.fromarray((PIXELS >> 4).astype(np.uint8)).save(path, "JPEG")


def pillow_tiff(path: Path) -> None:
    Image.fromarray(PIXELS).save(path, "TIFF", compression="tiff_lzw")


def content(path: Path) -> list[bytes]:
    """Read all pages and tags, in the way that every reader has to."""
    if path.read_bytes()[:2] not in (b"II", b"MM"):
        with Image.open(path) as image:
            return [np.asarray(image).tobytes()]
    with tifffile.TiffFile(path) as file:
        pages = [page.asarray().tobytes() for page in file.pages]
        return pages + [str(page.tags).encode() for page in file.pages]


WRITERS = {
    "tiff": tiff(),
    "big endian": tiff(byteorder=">"),
    "bigtiff": tiff(bigtiff=True),
    "big-endian bigtiff": tiff(bigtiff=True, byteorder=">"),
    "deflate": tiff(compression="zlib", predictor=True),
    "tiled": tiff(tile=(16, 16)),
    "many strips": tiff(rowsperstrip=2),
    "ome": tiff(ome=True),
    "imagej": tiff(imagej=True, metadata={"axes": "ZYX"}),
    "sub-IFDs": sub_ifds,
    "libtiff": pillow_tiff,
    "png": png,
    "jpeg": jpeg,
}


@pytest.fixture(params=WRITERS, ids=str)
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "whole"
    WRITERS[request.param](path)
    return path


def test_a_whole_file_lacks_nothing(whole: Path) -> None:
    assert missing_part(whole) is None


def test_a_file_cut_anywhere_lacks_something(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    cut = tmp_path / "cut"
    for length in sorted({*range(0, len(data), 97), *range(1, 20), *range(len(data) - 20, len(data))}):
        cut.write_bytes(data[:length])
        # Some writers pad the end: what is cut there is missed by nobody.
        assert missing_part(cut) or content(cut) == content(whole), f"cut to {length} of {len(data)} bytes"


def test_a_preallocated_file_lacks_what_is_still_zero(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    path = tmp_path / "zeros"
    path.write_bytes(bytes(len(data)))
    assert missing_part(path) == "it begins with zeros only"


@pytest.mark.parametrize("write", [png, jpeg])
def test_a_preallocated_png_or_jpeg_lacks_its_end(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "image"
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) // 2 + 5000))
    assert missing_part(path)


def test_bytes_after_the_image_do_not_matter(whole: Path) -> None:
    with whole.open("ab") as file:
        file.write(b"appended by the camera")
    assert missing_part(whole) is None


def test_an_empty_file_lacks_everything(tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    path.touch()
    assert missing_part(path) == "it holds nothing yet"


def test_what_is_no_image_will_not_get_better_by_waiting(tmp_path: Path) -> None:
    path = tmp_path / "note.tif"
    path.write_text("this is no image at all")
    assert missing_part(path) is None


def test_a_loop_of_pages_ends(tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    # One entry (ImageWidth, SHORT, 1); the next page is this one again.
    path.write_bytes(b"II*\0\x08\0\0\0" + b"\x01\0" + b"\0\x01\x03\0\x01\0\0\0\x05\0\0\0" + b"\x08\0\0\0")
    assert missing_part(path) is None


def test_a_wild_table_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "wild.tif"
    path.write_bytes(b"II+\0\x08\0\0\0" + b"\x10\0\0\0\0\0\0\0" + b"\xff" * 64)
    assert missing_part(path)


def test_the_message_says_where_the_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, PIXELS)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    assert missing_part(path) == (
        f"the data of page 1 end at byte {len(data)}, the file at byte {len(data) - 100}"
    )


def test_all_real_images_are_whole(shared_dir: Path) -> None:
    images = [path for path in (shared_dir / "data/images").iterdir() if path.suffix not in (".csv", ".md")]
    assert len(images) == 62
    assert {path.name: missing_part(path) for path in images} == {path.name: None for path in images}
