"""JPEG XL of a PNG gives the same pixels and parts back, and is read like the PNG."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
from numpy.typing import NDArray

from haste_workers.imaging.encode import unpack_jxl, write_smaller
from haste_workers.imaging.formats.jxl_header import jxl_header
from haste_workers.imaging.image import ImageTooLargeError, UnreadableImageError
from haste_workers.imaging.jxl_boxes import boxes
from haste_workers.imaging.packing import Packing
from haste_workers.imaging.png_chunks import Chunk, png_chunks, png_file
from haste_workers.imaging.read import open_image, read_image
from tests.unit.imaging.pictures import field, png_bytes, tiff_bytes

JXL = Packing("jxl")

PIXELS = {
    "grey 8": field(shape=(200, 256), dtype="uint8"),
    "grey 16": field(shape=(200, 256)),
    "grey and opacity": np.stack([field(seed, (150, 130), "uint8") for seed in range(2)], axis=2),
    "colour 8": np.stack([field(seed, (150, 130), "uint8") for seed in range(3)], axis=2),
    "colour 16": np.stack([field(seed, (150, 130)) for seed in range(3)], axis=2),
    "colour and opacity": np.stack([field(seed, (150, 130)) for seed in range(4)], axis=2),
}


def png_with_parts(pixels: NDArray[Any]) -> bytes:
    """Write a PNG with an ICC profile, resolution and text before its pixels, and EXIF and text behind."""
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    first, *rest = png_chunks(bytes(imagecodecs.png_encode(pixels, level=3)))
    before: list[Chunk] = [
        (b"iCCP", b"screen\0\0" + zlib.compress(profile)),
        (b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
        (b"tEXt", b"Description\0field 7, gain 3"),
    ]
    behind: list[Chunk] = [
        (b"eXIf", b"MM\0*\0\0\0\x08\0\0\0\0\0\0"),
        (b"tIME", bytes([7, 231, 2, 4, 11, 34, 55])),
    ]
    return png_file([first, *before, *rest[:-1], *behind, rest[-1]])


def parts_of(content: bytes) -> list[Chunk]:
    """Return a PNG's chunks, its packed pixels as one empty chunk."""
    chunks = [(kind, b"" if kind == b"IDAT" else data) for kind, data in png_chunks(content)]
    return [
        chunk for index, chunk in enumerate(chunks) if chunk != (b"IDAT", b"") or chunks[index - 1] != chunk
    ]


def packed(tmp_path: Path, content: bytes, packing: Packing = JXL) -> Path:
    source, folder = tmp_path / "field.png", tmp_path / "smaller"
    source.write_bytes(content)
    folder.mkdir(exist_ok=True)
    target = write_smaller(source, folder, packing=packing)
    assert target is not None
    assert list(folder.iterdir()) == [target]
    return target


@pytest.mark.parametrize("pixels", PIXELS.values(), ids=list(PIXELS))
def test_there_and_back_is_the_same(tmp_path: Path, pixels: NDArray[Any]) -> None:
    content = png_with_parts(pixels)
    target = packed(tmp_path, content)
    assert target == tmp_path / "smaller" / "field.jxl"
    assert target.stat().st_size < len(content)
    np.testing.assert_array_equal(imagecodecs.jpegxl_decode(target.read_bytes()), pixels)
    again = unpack_jxl(target, tmp_path)
    assert again == tmp_path / "field.png"
    np.testing.assert_array_equal(imagecodecs.png_decode(again.read_bytes()), pixels)
    assert parts_of(again.read_bytes()) == parts_of(content)


@pytest.mark.parametrize("pixels", PIXELS.values(), ids=list(PIXELS))
def test_it_is_read_like_the_png(tmp_path: Path, pixels: NDArray[Any]) -> None:
    target = packed(tmp_path, png_with_parts(pixels))
    png, jxl = read_image(tmp_path / "field.png"), read_image(target.replace(tmp_path / "named.dat"))
    np.testing.assert_array_equal(jxl.pixels, png.pixels)
    assert jxl.facts.format == "JPEG XL"
    told = [(facts.dtype, facts.bits, facts.colour) for facts in (jxl.facts, png.facts)]
    if pixels.ndim == 2 or pixels.dtype == np.uint8:  # of others Pillow says less than the file holds
        assert told[0] == told[1]
    assert told[0] == (str(pixels.dtype), 8 * pixels.itemsize, pixels.ndim == 3 and pixels.shape[2] >= 3)


def test_more_effort_makes_less(tmp_path: Path) -> None:
    content = png_bytes(field(shape=(400, 500), dtype="uint8"), compress_level=3)
    fast = packed(tmp_path, content).stat().st_size
    assert packed(tmp_path, content, Packing("jxl", "small")).stat().st_size < 0.97 * fast


@pytest.mark.parametrize(
    ("pixels", "level", "paying"),
    [
        (field(shape=(400, 500), dtype="uint8"), 1, 1),
        (np.random.default_rng(0).integers(0, 4, (400, 500)).astype(np.uint8), 0, 1),
        (np.rint(field(shape=(400, 500)) / 400).astype(np.uint8), 1, 2),
        (np.rint(field(shape=(400, 500)) / 400).astype(np.uint8), 9, 2),
    ],
)
def test_the_least_effort_that_pays_is_taken(
    tmp_path: Path, pixels: NDArray[Any], level: int, paying: int
) -> None:
    sizes = [len(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=effort)) for effort in (1, 2)]
    size = packed(tmp_path, png_bytes(pixels, compress_level=level)).stat().st_size
    assert 0 < size - sizes[paying - 1] < 200
    assert abs(sizes[0] - sizes[1]) > 200
    source = tmp_path / "field.tif"
    source.write_bytes(tiff_bytes(pixels))
    target = write_smaller(source, tmp_path / "smaller", packing=JXL)
    assert target is not None
    assert 0 < target.stat().st_size - sizes[paying - 1] < 700


def test_more_effort_is_taken_where_less_makes_a_file_no_smaller(tmp_path: Path) -> None:
    pixels = field(shape=(400, 500), dtype="uint8")
    content = png_bytes(pixels, compress_level=9)
    least, more = (len(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=effort)) for effort in (1, 2))
    assert more + 200 < len(content) < least
    assert 0 < packed(tmp_path, content).stat().st_size - more < 200


@pytest.mark.parametrize("how", ["palette", "one bit", "transparent level"])
def test_palettes_bits_and_transparent_levels_stay(tmp_path: Path, how: str) -> None:
    picture = PIL.Image.fromarray(field(shape=(200, 256), dtype="uint8"))
    options: dict[str, Any] = {"compress_level": 1}
    if how == "palette":
        picture = picture.quantize(16)
    elif how == "one bit":
        picture = picture.point(lambda level: 255 * (level > 120)).convert("1")
    else:
        options["transparency"] = 7
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    target = packed(tmp_path, file.getvalue())
    if how == "transparent level":  # a chunk, and kept as such
        target = unpack_jxl(target, tmp_path / "smaller")
    with PIL.Image.open(target) as again:
        np.testing.assert_array_equal(np.asarray(again), np.asarray(picture))
        assert again.info.get("transparency") == options.get("transparency")


def test_a_damaged_pixel_is_found(tmp_path: Path) -> None:
    content = packed(tmp_path, png_with_parts(PIXELS["grey 8"])).read_bytes()
    silent = 0
    for place in range(200, len(content) - 4000, 997):
        damaged = bytearray(content)
        damaged[place] ^= 4
        (tmp_path / "damaged.jxl").write_bytes(damaged)
        with pytest.raises(UnreadableImageError) as said:
            read_image(tmp_path / "damaged.jxl")
        silent += "checksum of its pixels" in str(said.value)
    assert silent > 3  # which the decoder has not seen


def test_cut_files_and_others_are_errors(tmp_path: Path) -> None:
    content = packed(tmp_path, png_with_parts(PIXELS["grey 16"])).read_bytes()
    for size in (2, 11, 12, 30, 60, 300, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.jxl").write_bytes(content[:size])
        with pytest.raises(UnreadableImageError):
            read_image(tmp_path / "cut.jxl")
    animation = np.stack([field(seed, dtype="uint8") for seed in range(3)] * 3).reshape(3, 3, 96, 80)
    frames = np.ascontiguousarray(np.moveaxis(animation, 1, 3))
    (tmp_path / "film.jxl").write_bytes(bytes(imagecodecs.jpegxl_encode(frames, lossless=True)))
    with pytest.raises(UnreadableImageError, match="animation"):
        read_image(tmp_path / "film.jxl")
    (tmp_path / "foreign.jxl").write_bytes(bytes(imagecodecs.jpegxl_encode(PIXELS["grey 8"], lossless=True)))
    with pytest.raises(UnreadableImageError, match="keeps the parts of a PNG"):
        unpack_jxl(tmp_path / "foreign.jxl", tmp_path)
    np.testing.assert_array_equal(read_image(tmp_path / "foreign.jxl").pixels, PIXELS["grey 8"])


def test_a_box_that_reaches_out_of_the_file_is_an_error() -> None:
    signature = b"\0\0\0\x0cJXL \r\n\x87\n"
    for size in (7, 17, 2**31):
        found = boxes(io.BytesIO(signature + struct.pack(">I4s", size, b"jxlc") + bytes(8)))
        assert next(found) == (b"JXL ", 8, 4)
        with pytest.raises(UnreadableImageError, match="boxes"):
            next(found)
    for head in (struct.pack(">I4s", 0, b"jxlc"), struct.pack(">I4sQ", 1, b"jxlc", 24)):
        found = boxes(io.BytesIO(signature + head + bytes(8)))
        assert list(found)[1:] == [(b"jxlc", 12 + len(head), 8)]
    many = io.BytesIO(signature + struct.pack(">I4s", 8, b"free") * 20_000)
    with pytest.raises(UnreadableImageError, match="more than"):
        list(boxes(many))


def test_a_large_one_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    target = packed(tmp_path, png_with_parts(PIXELS["colour 16"]))
    with open_image(target) as image:
        assert image.planes[0].decoded_bytes == PIXELS["colour 16"].nbytes
    with pytest.raises(ImageTooLargeError):
        read_image(target, max_bytes=1000)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "shape",
    [
        *((1, 1), (5, 7), (3, 2000), (2000, 3, 3), (8, 8, 4), (33, 47, 2), (33, 47, 3)),
        # Sides in eights, and each of the ratios of width to height that have a number.
        *((40, 56), (64, 64), (20, 24), (30, 40), (30, 45), (72, 128), (64, 80), (10, 20)),
    ],
)
def test_headers_say_what_the_decoder_gives(shape: tuple[int, ...], dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    for effort in (1, 3):
        file = bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=effort, usecontainer=True))
        header = jxl_header(file[file.index(b"jxlc") + 4 :])
        decoded = imagecodecs.jpegxl_decode(file)
        assert (header.height, header.width) == decoded.shape[:2]
        assert header.channels == (1 if decoded.ndim == 2 else decoded.shape[2])
        assert header.colour == (header.channels >= 3)
        assert (header.bits, header.floats) == (8 * decoded.itemsize, decoded.dtype.kind == "f")


def test_a_tiff_stays_a_tiff(tmp_path: Path) -> None:
    (tmp_path / "smaller").mkdir()
    (tmp_path / "a.tif").write_bytes(tiff_bytes(field()))
    target = write_smaller(tmp_path / "a.tif", tmp_path / "smaller", packing=JXL)
    assert target == tmp_path / "smaller" / "a.tif"
