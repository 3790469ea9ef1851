"""Files that a microscope's folder may hold and that are no images, or none with a score."""

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tests.unit.imaging.pictures import bare_png, bare_tiff, field, page_tags, png_bytes, tiff_bytes

REFUSED, VALUE, UNDEFINED = "refused", "value", "undefined"


def _spoilt(content: bytes, start: int, count: int) -> bytes:
    return content[:start] + bytes(count) + content[start + count :]


def _with(pixels: NDArray[Any], value: float) -> NDArray[Any]:
    spoilt = pixels.astype(np.float32)
    spoilt[3, 4] = value
    return spoilt


def _stack() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.stack([field(seed) for seed in range(5)]), photometric="minisblack")
    return file.getvalue()


def _deflated_zeros(side_px: int) -> bytes:
    packer = zlib.compressobj(9)
    line = bytes(2 * side_px)
    return b"".join([*(packer.compress(line) for _ in range(side_px)), packer.flush()])


def _deflate_bomb() -> bytes:
    side_px = 16_000  # 512 MB
    packed = _deflated_zeros(side_px)
    return bare_tiff(page_tags(side_px, side_px, len(packed), compression=8), packed)


_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "good.tif": (lambda: tiff_bytes(field()), VALUE),
    "empty.tif": (lambda: b"", REFUSED),
    "four bytes.tif": (lambda: b"II*\0", REFUSED),
    "half a tiff.tif": (lambda: tiff_bytes(field())[:8000], REFUSED),
    "page cut.tif": (lambda: tiff_bytes(field())[:40], REFUSED),
    "a png.tif": (lambda: png_bytes(field()), VALUE),
    "a tiff é.png": (lambda: tiff_bytes(field()), VALUE),
    "page of the web.tif": (lambda: b"<html>404 Not Found</html>", REFUSED),
    "postscript.tif": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", REFUSED),
    "noise.tif": (lambda: np.random.default_rng(0).bytes(50_000), REFUSED),
    "all nan.tif": (lambda: tiff_bytes(np.full((96, 80), np.nan, np.float32)), UNDEFINED),
    "one nan.tif": (lambda: tiff_bytes(_with(field(), np.nan)), UNDEFINED),
    "one inf.tif": (lambda: tiff_bytes(_with(field(), np.inf)), UNDEFINED),
    "constant.tif": (lambda: tiff_bytes(np.full((96, 80), 777, np.uint16)), UNDEFINED),
    "1 x 1.tif": (lambda: tiff_bytes(np.ones((1, 1), np.uint16)), UNDEFINED),
    "31 x 500.tif": (lambda: tiff_bytes(field(0, (31, 500))), UNDEFINED),
    "one row.tif": (lambda: tiff_bytes(field(0, (1, 5000))), UNDEFINED),
    "20 GB in the header.tif": (lambda: bare_tiff(page_tags(100_000, 100_000, 64), bytes(64)), REFUSED),
    "bomb.tif": (_deflate_bomb, REFUSED),
    "bomb.png": (lambda: bare_png(25_000, 20_000, bytes(25_001 * 20_000)), REFUSED),
    "circle.tif": (lambda: bare_tiff(page_tags(16, 16, 512), bytes(512), next_page=8), REFUSED),
    "no width.tif": (lambda: bare_tiff(page_tags(0, 16, 0)), REFUSED),
    "data elsewhere.tif": (lambda: bare_tiff(page_tags(256, 256, 131_072)), REFUSED),
    "unknown codec.tif": (
        lambda: bare_tiff(page_tags(16, 16, 100, compression=65001), b"x" * 100),
        REFUSED,
    ),
    "spoilt lzw.tif": (lambda: _spoilt(tiff_bytes(field(), compression="lzw"), 1000, 500), REFUSED),
    "bad checksum.png": (lambda: _spoilt(png_bytes(field()), 5000, 1), REFUSED),
    "half a png.png": (lambda: png_bytes(field())[:-2000], REFUSED),
    "colour.tif": (lambda: tiff_bytes(np.dstack([field()] * 3), photometric="rgb"), VALUE),
    "stack.tif": (_stack, VALUE),
    "negative.tif": (lambda: tiff_bytes(field() - 5000.0), VALUE),
    "signed.tif": (lambda: tiff_bytes(field().astype(np.int32) - 2000), VALUE),
    "big-endian.tif": (lambda: tiff_bytes(field(), bigtiff=True, byteorder=">"), VALUE),
}


def write_bad_files(folder: Path) -> dict[str, str]:
    """Write files of every kind; return what shall become of each, by its name."""
    for name, (content, _) in _FILES.items():
        (folder / name).write_bytes(content())
    (folder / "folder.tif").mkdir()
    (folder / "link to nowhere.tif").symlink_to("nowhere")
    expected = {name: verdict for name, (_, verdict) in _FILES.items()}
    return {**expected, "folder.tif": REFUSED, "link to nowhere.tif": REFUSED}
