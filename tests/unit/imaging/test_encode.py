"""What is written anew is smaller and the same; what is a derivative says so."""

import hashlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
from numpy.typing import NDArray

from haste_core.errors import BadInputError
from haste_core.operators import Floodfill, floodfill
from haste_workers.imaging.encode import write_smaller
from haste_workers.imaging.image import UnreadableImageError
from haste_workers.imaging.packing import Codec, Packing
from haste_workers.imaging.read import read_image
from tests.unit.imaging.pictures import (
    bare_tiff,
    field,
    jpeg_bytes,
    page_tags,
    planes_of,
    png_bytes,
    tiff_bytes,
)


@pytest.fixture
def target_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "smaller"
    folder.mkdir()
    return folder


def saved(tmp_path: Path, content: bytes, name: str = "A01 s1.tif") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def tags_of(path: Path) -> list[dict[str, Any]]:
    with tifffile.TiffFile(path) as tiff:
        return [{tag.name: tag.value for tag in page.aspage().tags} for page in tiff.pages]


def shrunk(source: Path, target_dir: Path, packing: Packing | None = None) -> Path:
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    target = write_smaller(source, target_dir, packing=packing)
    assert target == target_dir / source.name
    assert target.stat().st_size < source.stat().st_size
    np.testing.assert_array_equal(planes_of(target), planes_of(source))
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before
    assert list(target_dir.iterdir()) == [target]
    return target


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "lzw"},
        {"compression": "packbits"},
        {"compression": "zlib"},
        {"tile": (32, 32)},
        {"photometric": "miniswhite"},
    ],
)
def test_a_tiff_of_any_layout_shrinks(tmp_path: Path, target_dir: Path, options: dict[str, Any]) -> None:
    source = saved(tmp_path, tiff_bytes(field(shape=(256, 256)), **options))
    target = shrunk(source, target_dir)
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(target) as new:
        assert (new.byteorder, new.is_bigtiff) == (old.byteorder, old.is_bigtiff)
        assert new.pages.first.photometric == old.pages.first.photometric
        assert new.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert new.pages.first.predictor == tifffile.PREDICTOR.HORIZONTAL


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_any_dtype_keeps_its_bits(tmp_path: Path, target_dir: Path, dtype: str) -> None:
    pixels = np.rint(field(dtype="uint8") / 9).astype(dtype)
    if pixels.dtype.kind == "f":
        pixels[:3, 0] = np.nan, -0.0, np.inf
    target = shrunk(saved(tmp_path, tiff_bytes(pixels)), target_dir)
    assert tifffile.imread(target).tobytes() == pixels.tobytes()


def test_pages_and_their_tags_stay(tmp_path: Path, target_dir: Path) -> None:
    source = tmp_path / "stack.tif"
    with tifffile.TiffWriter(source) as writer:
        for plane in range(3):
            writer.write(
                field(plane),
                description=f"plane {plane}",
                datetime="2019:02:04 11:34:55",
                software="Acquire 7",
                resolution=(1_234_567 / 89, 15385),
                resolutionunit="CENTIMETER",
                metadata=None,
                extratags=[
                    (65000, "I", 2, (7, 8), False),
                    (65001, "B", 3, bytes([1, 2, 3]), False),
                    (315, "s", 0, "someone", False),
                ],
            )
    target = shrunk(source, target_dir)
    for plane, (old, new) in enumerate(zip(tags_of(source), tags_of(target), strict=True)):
        assert new["ImageDescription"] == f"plane {plane}"
        for name in ("DateTime", "Software", "XResolution", "ResolutionUnit", "65000", "65001", "Artist"):
            assert new[name] == old[name]


def test_ome_xml_and_imagej_stay(tmp_path: Path, target_dir: Path) -> None:
    stack = np.stack([field(seed) for seed in range(4)]).reshape(2, 2, 96, 80)
    ome, imagej = tmp_path / "stack.ome.tif", tmp_path / "imagej.tif"
    tifffile.imwrite(ome, stack, metadata={"axes": "CZYX", "PhysicalSizeX": 0.65}, ome=True)
    labels = [f"slice {number}" for number in range(4)]
    tifffile.imwrite(imagej, stack, imagej=True, metadata={"axes": "ZCYX", "Labels": labels})
    for source in (ome, imagej):
        target = shrunk(source, target_dir)
        with tifffile.TiffFile(source) as old, tifffile.TiffFile(target) as new:
            assert new.series[0].shape == old.series[0].shape == (2, 2, 96, 80)
            assert (new.ome_metadata, new.imagej_metadata) == (old.ome_metadata, old.imagej_metadata)
        target.unlink()


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_colour_stays(tmp_path: Path, target_dir: Path, planarconfig: str) -> None:
    rgb = np.stack([field(seed, (256, 256)) for seed in range(3)], axis=2)
    stored = rgb if planarconfig == "contig" else np.moveaxis(rgb, 2, 0)
    content = tiff_bytes(stored, photometric="rgb", planarconfig=planarconfig)
    target = shrunk(saved(tmp_path, content), target_dir)
    np.testing.assert_array_equal(tifffile.imread(target), stored)


def test_a_palette_stays(tmp_path: Path, target_dir: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    content = tiff_bytes(field(dtype="uint8"), photometric="palette", colormap=colours)
    target = shrunk(saved(tmp_path, content), target_dir)
    with tifffile.TiffFile(target) as tiff:
        np.testing.assert_array_equal(tiff.pages.first.colormap, colours)


@pytest.mark.parametrize(
    "content",
    [
        bare_tiff([*page_tags(64, 64, 8192), (34665, 4, 8)], bytes(8192)),
        tiff_bytes(field(), compression="zlib", predictor=True),
        tiff_bytes(field(dtype="uint8"), compression="jpeg"),
        tiff_bytes(np.random.default_rng(0).integers(0, 65536, (96, 80)).astype(np.uint16)),
        jpeg_bytes(field(dtype="uint8")),
    ],
    ids=["exif", "deflate already", "jpeg in tiff", "incompressible", "jpeg"],
)
def test_what_would_not_win_or_not_stay_whole_is_left_alone(
    tmp_path: Path, target_dir: Path, content: bytes
) -> None:
    assert write_smaller(saved(tmp_path, content), target_dir) is None
    assert list(target_dir.iterdir()) == []


def test_planes_that_a_tiff_declares_in_words_are_not_lost(tmp_path: Path, target_dir: Path) -> None:
    stack = np.stack([field(seed) for seed in range(4)])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack", truncate=True)
    assert write_smaller(tmp_path / "stack.tif", target_dir) is None


def test_a_cut_tiff_is_an_error(tmp_path: Path, target_dir: Path) -> None:
    absent_strip = bare_tiff(page_tags(64, 64, 0, compression=8), bytes(100))
    short_strip = bare_tiff(page_tags(64, 64, 8192), bytes(100))
    for content in (tiff_bytes(field())[:5000], short_strip, absent_strip):
        with pytest.raises(UnreadableImageError):
            write_smaller(saved(tmp_path, content), target_dir)
    assert list(target_dir.iterdir()) == []


@pytest.mark.parametrize(
    "pixels",
    [
        field(shape=(256, 256)),
        field(shape=(256, 256), dtype="uint8"),
        np.stack([field(seed, (128, 128), "uint8") for seed in range(3)], axis=2),
        np.stack([field(seed, (128, 128), "uint8") for seed in range(4)], axis=2),
    ],
)
def test_a_png_shrinks_and_keeps_its_text(tmp_path: Path, target_dir: Path, pixels: NDArray[Any]) -> None:
    content = png_bytes(pixels, text="field 7, gain 3", dpi=(300, 300), compress_level=6)
    target = shrunk(saved(tmp_path, content, "field.png"), target_dir, Packing(effort="small"))
    with PIL.Image.open(target) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels)
        assert picture.info["Description"] == "field 7, gain 3"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_deep_colour_and_palette_pngs_shrink(tmp_path: Path, target_dir: Path) -> None:
    rgb = np.stack([field(seed, (128, 128)) for seed in range(3)], axis=2)
    target = shrunk(saved(tmp_path, bytes(imagecodecs.png_encode(rgb, level=3)), "rgb.png"), target_dir)
    np.testing.assert_array_equal(imagecodecs.png_decode(target.read_bytes()), rgb)
    target.unlink()
    picture = PIL.Image.fromarray(field(dtype="uint8")).quantize(16)
    picture.save(tmp_path / "palette.png", compress_level=3)
    shrunk(tmp_path / "palette.png", target_dir)


def test_a_damaged_png_is_an_error(tmp_path: Path, target_dir: Path) -> None:
    content = bytearray(png_bytes(field()))
    content[len(content) // 2] ^= 1
    with pytest.raises(UnreadableImageError, match="checksum"):
        write_smaller(saved(tmp_path, bytes(content), "field.png"), target_dir)


def _on_a_grid(dtype: str = "uint8", shape: tuple[int, int] = (256, 256)) -> NDArray[Any]:
    tissue = field(shape=shape, dtype="uint8").astype(np.uint16) // 2 + 60
    tissue[:, :60] = np.random.default_rng(1).integers(5, 15, (shape[0], 60))
    return (tissue * (257 if dtype == "uint16" else 1)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_flood_filled_file_is_marked_as_a_derivative(
    tmp_path: Path, target_dir: Path, suffix: str, dtype: str
) -> None:
    pixels = _on_a_grid(dtype)
    if suffix == "png":
        content = png_bytes(pixels, text="kidney")
    else:
        content = tiff_bytes(pixels, description="kidney")
    source = saved(tmp_path, content, f"tile.{suffix}")
    target = write_smaller(source, target_dir, Floodfill(threshold=30))
    assert target is not None
    assert target.stat().st_size < 0.95 * source.stat().st_size
    image = read_image(target)
    np.testing.assert_array_equal(image.pixels, floodfill(pixels, 30))
    assert image.pixels[0, 0] == 0
    note = b"derivative, not original pixels: floodfill(threshold=30, bit_depth=8)"
    assert note in target.read_bytes()
    assert b"kidney" in target.read_bytes()


def test_flood_fill_keeps_ome_xml_readable(tmp_path: Path, target_dir: Path) -> None:
    source = tmp_path / "tile.ome.tif"
    stack = np.stack([_on_a_grid(), _on_a_grid()[::-1]])
    tifffile.imwrite(source, stack, photometric="minisblack", ome=True, metadata={"axes": "ZYX"})
    target = write_smaller(source, target_dir, Floodfill(threshold=30))
    assert target is not None
    with tifffile.TiffFile(target) as tiff:
        assert tiff.series[0].kind == "ome"
        assert "derivative" in str(tiff.ome_metadata)
        ElementTree.fromstring(str(tiff.ome_metadata))
        expected = [floodfill(plane, 30) for plane in stack]
        np.testing.assert_array_equal(tiff.series[0].asarray(), expected)


def test_flood_fill_keeps_what_tifffile_writes_readable(tmp_path: Path, target_dir: Path) -> None:
    source = tmp_path / "tile.tif"
    for pixels in (_on_a_grid(), np.stack([_on_a_grid(), _on_a_grid()[::-1]])):
        tifffile.imwrite(source, pixels, photometric="minisblack", metadata={"objective": "20x"})
        target = write_smaller(source, target_dir, Floodfill(threshold=30))
        assert target is not None
        expected = [floodfill(plane, 30) for plane in pixels.reshape(-1, 256, 256)]
        np.testing.assert_array_equal(tifffile.imread(target), np.reshape(expected, pixels.shape))
        with tifffile.TiffFile(target) as tiff:
            told = tiff.shaped_metadata
        assert told is not None
        assert (told[0]["shape"], told[0]["objective"]) == (list(pixels.shape), "20x")
        assert "not original pixels" in told[0]["haste"]


@pytest.mark.parametrize(
    "content",
    [
        tiff_bytes(np.dstack([field(dtype="uint8")] * 3), photometric="rgb"),
        tiff_bytes(field().astype(np.float32)),
        png_bytes(np.dstack([field(dtype="uint8")] * 3)),
        jpeg_bytes(field(dtype="uint8")),
    ],
    ids=["rgb tiff", "float tiff", "rgb png", "jpeg"],
)
def test_flood_fill_needs_grey_levels(tmp_path: Path, target_dir: Path, content: bytes) -> None:
    with pytest.raises(
        BadInputError, match=r"operators that change pixels work on greyscale|floodfill cannot work"
    ):
        write_smaller(saved(tmp_path, content), target_dir, Floodfill())


@pytest.mark.parametrize(("codec", "encoder"), [("deflate", "deflate_encode"), ("jxl", "jpegxl_encode")])
def test_what_a_codec_has_spoiled_is_not_kept(
    tmp_path: Path, target_dir: Path, monkeypatch: pytest.MonkeyPatch, codec: Codec, encoder: str
) -> None:
    pixels = field(shape=(256, 256), dtype="uint8")
    source = saved(tmp_path, png_bytes(pixels, compress_level=1), "tile.png")
    encode = getattr(imagecodecs, encoder)

    def spoiled(samples: Any, *args: Any, **options: Any) -> Any:
        if isinstance(samples, bytes):
            return encode(samples[:-1] + bytes([samples[-1] ^ 1]), *args, **options)
        return encode(samples ^ (np.arange(samples.size) == 99).reshape(samples.shape), *args, **options)

    target = write_smaller(source, target_dir, packing=Packing(codec))
    assert target is not None
    target.unlink()
    monkeypatch.setattr(imagecodecs, encoder, spoiled)
    assert write_smaller(source, target_dir, packing=Packing(codec)) is None
    assert list(target_dir.iterdir()) == []
