"""Every plane of an image file, exactly, or an error that names the reason."""

import csv
import io
import tracemalloc
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
from numpy.typing import NDArray

from haste_core.errors import SourceMissingError
from haste_workers.imaging.image import ImageTooLargeError, UnreadableImageError
from haste_workers.imaging.read import read_image
from tests.unit.imaging.em_files import dm_bytes, dm_image, mrc_header
from tests.unit.imaging.pictures import (
    bare_png,
    bare_tiff,
    field,
    jpeg_bytes,
    page_tags,
    planes_of,
    png_bytes,
    tiff_bytes,
)

WEIGHTS = np.array([0.2125, 0.7154, 0.0721])


def read(tmp_path: Path, content: bytes, **options: Any) -> Any:
    path = tmp_path / "image"
    path.write_bytes(content)
    return read_image(path, **options)


def all_planes(tmp_path: Path, content: bytes) -> NDArray[Any]:
    path = tmp_path / "image"
    path.write_bytes(content)
    return planes_of(path)


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]
)
def test_grey_tiff_keeps_its_levels(tmp_path: Path, dtype: str) -> None:
    pixels = field(dtype="int8").astype(dtype)
    image = read(tmp_path, tiff_bytes(pixels))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.facts.format, image.facts.dtype, image.facts.bits) == ("TIFF", dtype, pixels.itemsize * 8)
    assert (image.shape, image.facts.colour) == ((96, 80), False)


@pytest.mark.parametrize(
    "options",
    [
        {"bigtiff": True},
        {"byteorder": ">"},
        {"tile": (32, 32)},
        {"rowsperstrip": 7, "compression": "lzw", "predictor": True},
        {"rowsperstrip": 7, "compression": "zlib"},
        {"compression": "zstd", "bigtiff": True, "byteorder": ">"},
        {"compression": "packbits"},
        {"compression": "lzma"},
    ],
)
def test_every_layout_of_a_tiff(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = field()
    np.testing.assert_array_equal(read(tmp_path, tiff_bytes(pixels, **options)).pixels, pixels)


def test_two_level_tiff(tmp_path: Path) -> None:
    PIL.Image.fromarray(field() > 1500).save(tmp_path / "image", "TIFF")
    image = read_image(tmp_path / "image")
    np.testing.assert_array_equal(image.pixels, field() > 1500)
    assert image.facts.bits == 1


def test_pages_are_planes(tmp_path: Path) -> None:
    pages = [field(seed) for seed in range(5)]
    np.testing.assert_array_equal(all_planes(tmp_path, tiff_bytes(*pages)), pages)


@pytest.mark.parametrize("options", [{"imagej": True}, {"truncate": True}, {"ome": True}, {}])
def test_stacks_of_other_programs(tmp_path: Path, options: dict[str, bool]) -> None:
    stack = np.stack([field(seed) for seed in range(4)])
    truncate = {"truncate": options.pop("truncate")} if "truncate" in options else {}
    tifffile.imwrite(tmp_path / "image", stack, photometric="minisblack", **options, **truncate)
    content = (tmp_path / "image").read_bytes()
    np.testing.assert_array_equal(all_planes(tmp_path, content), stack)


def test_previews_are_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "image") as writer:
        writer.write(field(), metadata=None)
        writer.write(field()[::4, ::4], subfiletype=1, metadata=None)
    assert all_planes(tmp_path, (tmp_path / "image").read_bytes()).shape == (1, 96, 80)


def test_pages_that_differ_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="2 pages differ in size"):
        read(tmp_path, tiff_bytes(field(), field()[:50]))


def test_channels_without_colour_are_planes(tmp_path: Path) -> None:
    channels = np.stack([field(seed) for seed in range(2)], axis=2)
    content = tiff_bytes(channels, planarconfig="contig")
    np.testing.assert_array_equal(all_planes(tmp_path, content), np.moveaxis(channels, 2, 0))


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colour_tiff_is_luminance(tmp_path: Path, planarconfig: str, dtype: str) -> None:
    rgb = np.stack([field(seed, dtype=dtype) for seed in range(3)], axis=2)
    stored = rgb if planarconfig == "contig" else np.moveaxis(rgb, 2, 0)
    image = read(tmp_path, tiff_bytes(stored, photometric="rgb", planarconfig=planarconfig))
    np.testing.assert_allclose(image.pixels, rgb @ WEIGHTS / np.iinfo(dtype).max, atol=1e-6)
    assert (image.facts.colour, image.facts.dtype) == (True, dtype)


def test_opacity_is_ignored(tmp_path: Path) -> None:
    rgba = np.stack([field(seed, dtype="uint8") for seed in range(4)], axis=2)
    expected = rgba[..., :3] @ WEIGHTS / 255
    tiff = tiff_bytes(rgba, photometric="rgb", extrasamples=["unassalpha"])
    for content in (tiff, png_bytes(rgba)):
        np.testing.assert_allclose(read(tmp_path, content).pixels, expected, atol=1e-6)
    grey_alpha = png_bytes(rgba[..., :2].copy())
    np.testing.assert_array_equal(read(tmp_path, grey_alpha).pixels, rgba[..., 0])


def test_palettes_are_looked_up(tmp_path: Path) -> None:
    indices = field(dtype="uint8") % 7
    colours = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
    expected = colours[indices] @ WEIGHTS / 255
    tiff = tiff_bytes(indices, photometric="palette", colormap=colours.T.astype(np.uint16) * 257)
    picture = PIL.Image.fromarray(indices, "P")
    picture.putpalette(colours.tobytes())
    picture.save(tmp_path / "palette.png")
    for content in (tiff, (tmp_path / "palette.png").read_bytes()):
        image = read(tmp_path, content)
        np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
        assert image.facts.colour


def test_a_palette_of_greys_keeps_its_levels(tmp_path: Path) -> None:
    pixels = field(dtype="uint8")
    ramp = np.tile(np.arange(256, dtype=np.uint16) * 256, (3, 1))
    image = read(tmp_path, tiff_bytes(pixels, photometric="palette", colormap=ramp))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert not image.facts.colour


def test_zero_as_white_is_turned_round(tmp_path: Path) -> None:
    pixels = field()
    image = read(tmp_path, tiff_bytes(pixels, photometric="miniswhite"))
    np.testing.assert_array_equal(image.pixels, 65535 - pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_png_keeps_its_levels(tmp_path: Path, dtype: str) -> None:
    pixels = field(dtype=dtype)
    image = read(tmp_path, png_bytes(pixels))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.facts.format, image.facts.dtype, image.facts.bits) == ("PNG", dtype, 8 * pixels.itemsize)


def test_deep_colour_png_keeps_16_bits(tmp_path: Path) -> None:
    rgb = np.stack([field(seed) for seed in range(3)], axis=2)
    image = read(tmp_path, bytes(imagecodecs.png_encode(rgb)))
    np.testing.assert_allclose(image.pixels, rgb @ WEIGHTS / 65535, atol=1e-7)
    assert (image.facts.dtype, image.facts.bits, image.facts.colour) == ("uint16", 16, True)


def test_jpegs(tmp_path: Path) -> None:
    pixels = field(dtype="uint8")
    grey = read(tmp_path, jpeg_bytes(pixels, quality=100))
    np.testing.assert_allclose(grey.pixels, pixels, atol=4)
    assert (grey.facts.format, grey.facts.colour) == ("JPEG", False)
    cmyk = PIL.Image.fromarray(np.dstack([255 - pixels] * 3)).convert("CMYK")
    cmyk.save(tmp_path / "cmyk.jpg", quality=100)
    assert read_image(tmp_path / "cmyk.jpg").shape == (96, 80)


def test_content_counts_not_the_name(tmp_path: Path) -> None:
    (tmp_path / "really a tiff é.png").write_bytes(tiff_bytes(field()))
    (tmp_path / "really a png.tif").write_bytes(png_bytes(field()))
    for path, name in zip(sorted(tmp_path.iterdir()), ("PNG", "TIFF"), strict=True):
        assert read_image(path).facts.format == name


def test_real_images(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "images"
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        image = read_image(folder / row["file"])
        assert image.shape == (int(row["height"]), int(row["width"]))
        assert image.facts.dtype == row["dtype"].split()[0]
        assert image.facts.colour == row["dtype"].endswith("RGB")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"II*\0", "damaged or incomplete"),
        (b"<html>404 Not Found</html>", "neither TIFF, PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "neither"),
        (bare_tiff(page_tags(16, 16, 512), bytes(512), next_page=8), "circle"),
        (bare_tiff(page_tags(0, 16, 0)), "without pixels"),
        (bare_tiff(page_tags(16, 16, 512, compression=65001), bytes(512)), "damaged"),
        (bare_tiff(page_tags(16, 16, 0), bytes(512)), "lacks some of its data"),
        (tiff_bytes(field().astype(complex)), "no grey level"),
    ],
)
def test_what_is_no_image(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"^not a readable image: .*{reason}"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        bare_tiff(page_tags(100_000, 100_000, 64, compression=8), bytes(64)),
        bare_tiff(page_tags(20_000, 80_000, 64, compression=8), bytes(64)),
        bare_png(60_000, 60_000, b"\0"),
        bare_png(60_000, 60_000, b"\0", bits=16, colour_type=2),
    ],
)
def test_what_is_too_large_is_refused_by_its_header(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ImageTooLargeError, match="GB when decoded"):
        read(tmp_path, content)


def test_the_limit_counts_all_planes(tmp_path: Path) -> None:
    content = tiff_bytes(*[field()] * 3)
    read(tmp_path, content, max_bytes=3 * 96 * 80 * 2)
    with pytest.raises(ImageTooLargeError):
        read(tmp_path, content, max_bytes=3 * 96 * 80 * 2 - 1)


def test_a_picture_that_pillow_would_warn_of_is_read(tmp_path: Path) -> None:
    width, height = 10_000, 9_500
    content = bare_png(width, height, bytes((width // 8 + 1) * height), bits=1)
    assert read(tmp_path, content).shape == (height, width)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match=r"no file .*gone\.tif"):
        read_image(tmp_path / "gone.tif")
    with pytest.raises(UnreadableImageError, match="folder"):
        read_image(tmp_path)


def _stack(**options: Any) -> bytes:
    dtype = "uint8" if options.get("compression") == "jpeg" else "uint16"
    pages: list[NDArray[Any]] = [field(seed, (40, 40), dtype) for seed in range(3)]
    return tiff_bytes(*pages, **options)


def _animation() -> bytes:
    pictures = [PIL.Image.fromarray(field(seed, dtype="uint8")) for seed in range(2)]
    file = io.BytesIO()
    pictures[0].save(file, "PNG", save_all=True, append_images=pictures[1:])
    return file.getvalue()


def test_an_animation_is_not_read_in_part(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="several pictures"):
        read(tmp_path, _animation())


@pytest.mark.parametrize(
    "content",
    [
        _stack(),
        _stack(compression="zlib", rowsperstrip=8),
        _stack(compression="lzw", rowsperstrip=8),
        _stack(compression="jpeg", rowsperstrip=8),
        _stack(compression="packbits", tile=(16, 16)),
        _stack(bigtiff=True, byteorder=">"),
        png_bytes(field(shape=(40, 40))),
        jpeg_bytes(field(shape=(40, 40), dtype="uint8")),
        mrc_header((3, 40, 40), 6) + field(shape=(3, 40, 40)).tobytes(),
        dm_bytes(dm_image(field(shape=(3, 40, 40))), version=3),
        dm_bytes(dm_image(field(shape=(3, 40, 40)))),
    ],
    ids=["plain", "zlib", "lzw", "jpeg-tiff", "tiled", "bigtiff", "png", "jpeg", "mrc", "dm3", "dm4"],
)
def test_a_file_cut_anywhere_is_never_read_in_part(tmp_path: Path, content: bytes) -> None:
    whole = all_planes(tmp_path, content)
    step = max(1, len(content) // 150)
    for length in [*range(0, len(content), step), *range(len(content) - 30, len(content))]:
        try:
            planes = all_planes(tmp_path, content[:length])
        except UnreadableImageError:
            continue
        # The writer's last bytes may be padding, or tags that are not needed.
        np.testing.assert_array_equal(planes, whole)
        assert length > len(content) - 30


def test_a_flipped_bit_in_a_png_is_found(tmp_path: Path) -> None:
    content = bytearray(png_bytes(field()))
    content[len(content) // 2] ^= 1
    with pytest.raises(UnreadableImageError, match="checksum"):
        read(tmp_path, bytes(content))


def test_a_header_that_promises_more_than_the_file_holds_asks_for_no_memory(tmp_path: Path) -> None:
    damaged = bare_tiff(page_tags(30_000, 30_000, 200), bytes(200))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImageError, match="beyond the end of the file"):
            read(tmp_path, damaged)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 50_000_000
