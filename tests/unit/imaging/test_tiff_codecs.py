"""TIFF by the codecs for receivers that know them: all stays, and read_image reads it."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import PIL.ImageCms
import pytest
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION

from haste_core.operators import Floodfill, floodfill
from haste_workers.imaging.encode import write_smaller
from haste_workers.imaging.packing import Codec, Effort, Packing
from haste_workers.imaging.read import read_image
from tests.unit.imaging.pictures import field, planes_of, tiff_bytes

OF_CODEC = {"jxl": COMPRESSION.JPEGXL, "zstd": COMPRESSION.ZSTD}

COLOUR = np.stack([field(seed, (128, 128), "uint8") for seed in range(3)], axis=2)


@pytest.fixture(params=["jxl", "zstd"])
def codec(request: pytest.FixtureRequest) -> Codec:
    named: Codec = request.param
    return named


def smaller(tmp_path: Path, source: Path, packing: Packing) -> Path:
    folder = tmp_path / "smaller"
    folder.mkdir(exist_ok=True)
    target = write_smaller(source, folder, packing=packing)
    assert target == folder / source.name
    assert target.stat().st_size < source.stat().st_size
    np.testing.assert_array_equal(tifffile.imread(target), tifffile.imread(source))
    return target


def compressions(path: Path) -> set[int]:
    with tifffile.TiffFile(path) as tiff:
        return {page.aspage().compression for page in tiff.pages}


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (field(shape=(256, 256), dtype="uint8"), {}),
        (field(shape=(256, 256)), {}),
        (field(shape=(256, 256)), {"photometric": "miniswhite"}),
        (field(shape=(256, 256), dtype="uint8"), {"byteorder": ">"}),
        (field(shape=(256, 256)), {"compression": "zlib", "predictor": True}),
        (COLOUR, {"photometric": "rgb"}),
        (COLOUR.astype(np.uint16) * 250, {"photometric": "rgb"}),
        (np.dstack([COLOUR, COLOUR[..., :1]]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    ],
)
def test_pixels_of_8_and_16_bits(
    tmp_path: Path, codec: Codec, pixels: NDArray[Any], options: dict[str, Any]
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_bytes(pixels, **options))
    target = smaller(tmp_path, tmp_path / "a.tif", Packing(codec))
    assert compressions(target) == {OF_CODEC[codec]}
    before, after = read_image(tmp_path / "a.tif"), read_image(target)
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert after.facts == before.facts


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (np.rint(field() / 99).astype(np.float32), {}),
        (np.rint(field() / 99).astype(np.int16), {}),
        (field(shape=(256, 256)), {"byteorder": ">"}),
        (np.moveaxis(COLOUR, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}),
    ],
)
def test_what_jpeg_xl_is_not_made_for_is_packed_by_deflate(
    tmp_path: Path, pixels: NDArray[Any], options: dict[str, Any]
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_bytes(pixels, **options))
    target = smaller(tmp_path, tmp_path / "a.tif", Packing("jxl"))
    assert compressions(target) == {COMPRESSION.ADOBE_DEFLATE}


def test_tags_and_profile_stay(tmp_path: Path, codec: Codec) -> None:
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    with tifffile.TiffWriter(tmp_path / "stack.tif") as writer:
        for plane in range(3):
            writer.write(
                field(plane),
                description=f"plane {plane}",
                datetime="2019:02:04 11:34:55",
                software="Acquire 7",
                resolution=(15385, 15385),
                resolutionunit="CENTIMETER",
                iccprofile=profile,
                metadata=None,
                extratags=[(65000, "I", 2, (7, 8), False)],
            )
    target = smaller(tmp_path, tmp_path / "stack.tif", Packing(codec))
    kept = ("ImageDescription", "DateTime", "Software", "XResolution", "ResolutionUnit", "InterColorProfile")
    with tifffile.TiffFile(tmp_path / "stack.tif") as old, tifffile.TiffFile(target) as new:
        assert len(new.pages) == 3
        for before, after in zip(old.pages, new.pages, strict=True):
            for name in (*kept, 65000):
                assert after.aspage().tags[name].value == before.aspage().tags[name].value


def test_ome_xml_stays(tmp_path: Path, codec: Codec) -> None:
    stack = np.stack([field(seed) for seed in range(4)]).reshape(2, 2, 96, 80)
    source = tmp_path / "stack.ome.tif"
    tifffile.imwrite(source, stack, metadata={"axes": "CZYX", "PhysicalSizeX": 0.65}, ome=True)
    target = smaller(tmp_path, source, Packing(codec))
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(target) as new:
        assert new.series[0].shape == (2, 2, 96, 80)
        assert new.ome_metadata == old.ome_metadata
    assert read_image(target, channel=1).facts == read_image(source, channel=1).facts


def test_a_derivative_by_any_codec(tmp_path: Path, codec: Codec) -> None:
    pixels = field(shape=(256, 256), dtype="uint8") // 2 + 60
    pixels[:, :60] = np.random.default_rng(1).integers(5, 15, (256, 60))
    (tmp_path / "tile.tif").write_bytes(tiff_bytes(pixels, description="kidney"))
    (tmp_path / "smaller").mkdir()
    target = write_smaller(tmp_path / "tile.tif", tmp_path / "smaller", Floodfill(), Packing(codec))
    assert target is not None
    np.testing.assert_array_equal(planes_of(target), [floodfill(pixels)])
    with tifffile.TiffFile(target) as tiff:
        assert tiff.pages.first.description.startswith("kidney\nHASTE derivative")


def test_more_effort_makes_less(tmp_path: Path) -> None:
    smooth = np.rint(np.add.outer(*(40 * np.sin(np.arange(256) / 9 + 1) for _ in range(2))) + 100)
    (tmp_path / "a.tif").write_bytes(tiff_bytes(smooth.astype(np.uint8)))
    for codec in get_args(Codec):
        sizes = [
            smaller(tmp_path, tmp_path / "a.tif", Packing(codec, effort)).stat().st_size
            for effort in get_args(Effort)
        ]
        assert sizes[1] < sizes[0]
