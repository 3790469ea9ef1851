import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

from haste_apps.reporting.thumbnails import THUMBNAIL_PX, thumbnails
from haste_core.routing import Roots
from tests.unit.apps.reporting.streams import PIPELINE, image


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    """Return a folder with a dim field of 16 bit: grey levels 100 to 1123 of 65535, dark at the left."""
    field = 100 + np.tile(np.arange(1024, dtype=np.uint16), (512, 1))
    tifffile.imwrite(tmp_path / "1.tif", field)
    return tmp_path


def drawn(nas: Path, parameters: Any = None, **fields: Any) -> np.ndarray[Any, Any] | None:
    pipeline = PIPELINE.model_copy(update={"parameters": {"focus-score": parameters or {}}})
    jpeg = thumbnails(Roots.parse({"nas": nas}), pipeline)(image(1, **fields))
    return None if jpeg is None else np.asarray(PIL.Image.open(io.BytesIO(jpeg)))


def test_a_dim_field_of_16_bit_is_stretched_over_all_grey_levels(nas: Path) -> None:
    picture = drawn(nas)
    assert picture is not None
    assert picture.shape == (THUMBNAIL_PX // 2, THUMBNAIL_PX)
    assert picture[:, 0].max() < 10
    assert picture[:, -1].min() > 245
    assert picture[:, THUMBNAIL_PX // 2].mean() == pytest.approx(128, abs=6)


def test_the_present_place_counts_before_the_source(nas: Path) -> None:
    tiers = nas / "tiers"
    tiers.mkdir()
    tifffile.imwrite(tiers / "1.tif", np.zeros((64, 64), np.uint16))
    url, size = (tiers / "1.tif").as_uri(), (tiers / "1.tif").stat().st_size
    moved = drawn(nas, place={"url": url, "site": "default", "size_bytes": size})
    assert moved is not None
    assert moved.shape == (64, 64)
    other = drawn(nas, place={"url": url, "site": "default", "size_bytes": size + 1})
    assert other is not None
    assert other.shape == (80, 160)


def test_that_channel_is_drawn_which_was_measured(nas: Path) -> None:
    rising = np.tile(np.arange(64, dtype=np.uint16), (64, 1))
    tifffile.imwrite(nas / "1.tif", np.stack([rising, rising.T]), ome=True, metadata={"axes": "CYX"})
    first, second = (drawn(nas, {"channel": channel, "features": ["lifts"]}) for channel in (0, 1))
    assert first is not None
    assert second is not None
    assert first[32, 60] > 200 > 60 > first[32, 3]
    assert second[60, 32] > 200 > 60 > second[3, 32]


@pytest.mark.parametrize(
    "url",
    [
        "root://elsewhere/1.tif",
        "s3://bucket/1.tif",
        "root://nas/2.tif",
        "root://nas/../1.tif",
        "file:relative",
    ],
)
def test_what_is_elsewhere_is_not_drawn(nas: Path, url: str) -> None:
    assert drawn(nas, source_url=url) is None


def test_what_is_no_image_is_not_drawn(nas: Path) -> None:
    (nas / "1.tif").write_text("no image")
    assert drawn(nas) is None
