"""What SerialEM's mdoc files tell of the images beside them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from haste_workers.imaging.image import Metadata
from haste_workers.imaging.read import open_image, read_image
from tests.unit.imaging.em_files import mrc_header
from tests.unit.imaging.pictures import field, tiff_bytes

TILT_SERIES = """PixelSpacing = 1.25
Voltage = 300
ImageFile = a.mrc
ImageSize = 30 20

[T = SerialEM: Titan Krios D3692               25-Mar-21  16:59:53    ]
[T =     Tilt axis angle = -86.7, binning = 1  spot = 7  camera = 1]

[ZValue = 0]
TiltAngle = -0.00654056
StagePosition = 919.141 -849.945
StageZ = 54.986
DateTime = 25-Mar-21  17:00:46

[ZValue = 1]
StagePosition = 920 -850
PixelSpacing = 2.5
DateTime = 25-Mar-2021  17:02:01

[MontSection = 2]
StagePosition = 7 7
"""
FIRST = Metadata(
    pixel_size_um=(1.25e-4, 1.25e-4), acquired="2021-03-25T17:00:46", stage_um=(919.141, -849.945, 54.986)
)
SECOND = Metadata(pixel_size_um=(2.5e-4, 2.5e-4), acquired="2021-03-25T17:02:01", stage_um=(920.0, -850.0))
THIRD = Metadata(pixel_size_um=(1.25e-4, 1.25e-4))


def stack(path: Path, *, cell: tuple[float, float] = (0, 0)) -> Path:
    path.write_bytes(mrc_header((3, 20, 30), 1, grid=(30, 20), cell=cell) + bytes(3600))
    return path


def told(path: Path) -> list[Metadata]:
    with open_image(path) as image:
        return [plane.metadata for plane in image.planes]


@pytest.mark.parametrize("name", ["a.mrc.mdoc", "a.mdoc"])
def test_sections_tell_of_their_planes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TILT_SERIES)
    assert told(stack(tmp_path / "a.mrc")) == [FIRST, SECOND, THIRD]
    assert read_image(tmp_path / "a.mrc", z=1).facts.metadata == SECOND


def test_a_tiff_stack_has_one_too(tmp_path: Path) -> None:
    (tmp_path / "a.tif.mdoc").write_text(TILT_SERIES)
    (tmp_path / "a.tif").write_bytes(tiff_bytes(*[field(seed) for seed in range(3)]))
    assert told(tmp_path / "a.tif") == [FIRST, SECOND, THIRD]


def test_what_the_image_tells_itself_counts(tmp_path: Path) -> None:
    (tmp_path / "a.mrc.mdoc").write_text(TILT_SERIES)
    first, *_ = told(stack(tmp_path / "a.mrc", cell=(60, 40)))
    assert first.pixel_size_um == pytest.approx((2e-4, 2e-4))
    assert (first.acquired, first.stage_um) == (FIRST.acquired, FIRST.stage_um)
    tifffile.imwrite(tmp_path / "b.ome.tif", field(), ome=True, metadata={"PhysicalSizeX": 3})
    (tmp_path / "b.ome.tif.mdoc").write_text(TILT_SERIES)
    assert told(tmp_path / "b.ome.tif")[0].acquired == FIRST.acquired


@pytest.mark.parametrize("section", ["[FrameSet = 0]", r"[Image = D:\frames\a.mrc]", "[Image = a.mrc]"])
def test_a_set_of_frames_tells_of_all(tmp_path: Path, section: str) -> None:
    entries = TILT_SERIES.split("[ZValue = 0]")[1].split("[ZValue")[0]
    (tmp_path / "a.mrc.mdoc").write_text(
        f"PixelSpacing = 1.25\n{section}{entries}[Image = b.mrc]\nStageZ = 3\n"
    )
    assert told(stack(tmp_path / "a.mrc")) == [FIRST] * 3


def test_without_one_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.mrc.mdoc").write_text(TILT_SERIES)
    assert told(stack(tmp_path / "a.mrc")) == [Metadata()] * 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Metadata()),
        (np.random.default_rng(0).bytes(100_000), Metadata()),
        (b"\xff\xfe\n\xe9\nStageZ = \xff\n[T = \xc5]\r\nPixelSpacing = 1.25\r\n", THIRD),
        (
            b"PixelSpacing = 1.25\nPixelSpacing\n= 7\n[ZValue = 99999999999999999999]\nStageZ = 1\n[\n[]\n",
            THIRD,
        ),
        (b"PixelSpacing = nan\nStagePosition = 1e999 2\nDateTime = 31-Feb-21 10:00:00\n", Metadata()),
        (b"PixelSpacing = -1.25\nStagePosition = 1\nStageZ = 5\nDateTime = yesterday\n", Metadata()),
        (b"PixelSpacing = 0\nStagePosition = 1 2 3\n", Metadata(stage_um=(1.0, 2.0))),
        (b"PixelSpacing = 1.25\n" + b"#" * 16_000_000, Metadata()),
    ],
    ids=["empty", "binary", "latin-1", "odd", "no numbers", "no values", "zero", "huge"],
)
def test_what_is_not_understood_is_ignored(tmp_path: Path, content: bytes, expected: Metadata) -> None:
    (tmp_path / "a.mrc.mdoc").write_bytes(content)
    assert told(stack(tmp_path / "a.mrc")) == [expected] * 3


def test_only_plain_files_are_looked_at(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.mrc")
    (tmp_path / "elsewhere").write_text(TILT_SERIES)
    (tmp_path / "a.mrc.mdoc").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a.mdoc").mkdir()
    assert told(path) == [Metadata()] * 3


def test_a_name_that_leaves_no_room_for_one_is_read(tmp_path: Path) -> None:
    assert told(stack(tmp_path / f"{'a' * 248}.mrc")) == [Metadata()] * 3
