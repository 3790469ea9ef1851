"""Every plane of a TIFF stands where its writer says, with what is told of the acquisition."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from haste_workers.imaging.image import ImageTooLargeError, Position
from haste_workers.imaging.read import open_image, read_image
from tests.unit.features.fields import spots
from tests.unit.imaging.pictures import planes_of

T, C, Z = 2, 3, 4
HYPERSTACK = np.arange(T * C * Z * 40 * 32, dtype=np.uint16).reshape(T, Z, C, 40, 32)


def positions(path: Path) -> list[Position]:
    with open_image(path) as image:
        return [plane.position for plane in image.planes]


@pytest.mark.parametrize(
    ("axes", "options"),
    [
        ("TZCYX", {"imagej": True}),
        ("TZCYX", {"ome": True}),
        ("TCZYX", {"ome": True}),
        ("CTZYX", {"ome": True}),
        ("TZCYX", {"photometric": "minisblack"}),
        ("CZTYX", {"photometric": "minisblack"}),
    ],
)
def test_planes_of_hyperstacks_are_where_they_were(
    tmp_path: Path, axes: str, options: dict[str, Any]
) -> None:
    pixels = HYPERSTACK.transpose(["TZCYX".index(axis) for axis in axes])
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, pixels, metadata={"axes": axes}, **options)
    with open_image(path) as image:
        assert len(image.planes) == T * Z * C
        for plane in image.planes:
            at = plane.position
            np.testing.assert_array_equal(plane.decode(), HYPERSTACK[at.time, at.z, at.channel])
    assert len(set(positions(path))) == T * Z * C


@pytest.mark.parametrize("options", [{"imagej": True, "byteorder": ">"}, {"photometric": "minisblack"}])
def test_planes_that_are_only_described_are_where_they_were(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "stack.tif"
    metadata = {"axes": "TZCYX", "truncate": True}
    if options.get("imagej"):
        # As ImageJ writes what is larger than 4 GB: one page, and all pixels behind it.
        _write_as_imagej_above_4_gb(path, HYPERSTACK)
    else:
        with tifffile.TiffWriter(path) as writer:
            writer.write(HYPERSTACK, metadata=metadata, **options)
    with open_image(path) as image:
        assert len(image.planes) == T * Z * C
        for plane in image.planes:
            at = plane.position
            np.testing.assert_array_equal(plane.decode(), HYPERSTACK[at.time, at.z, at.channel])


def _write_as_imagej_above_4_gb(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    times, slices, channels = pixels.shape[:3]
    described = (
        f"ImageJ=1.54f\nimages={times * slices * channels}\nchannels={channels}\nslices={slices}\n"
        f"frames={times}\nhyperstack=true\n"
    )
    with tifffile.TiffWriter(path, byteorder=">") as writer:
        writer.write(pixels[0, 0, 0], description=described, metadata=None, photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        (offset,) = tiff.pages.first.dataoffsets
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(pixels.astype(">u2").tobytes())
        file.truncate()


def test_ome_tells_channels_pixel_size_stage_and_time(tmp_path: Path) -> None:
    path = tmp_path / "A01.ome.tif"
    planes = 2 * 2
    metadata = {
        "axes": "CZYX",
        "Channel": {"Name": ["DAPI", "Alexa 488"]},
        "PhysicalSizeX": 325,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.65,
        "AcquisitionDate": "2026-11-21T10:11:12",
        "Plane": {
            "PositionX": [1.5 + number for number in range(planes)],
            "PositionXUnit": ["mm"] * planes,
            "PositionY": [-20.0] * planes,
            "PositionYUnit": ["µm"] * planes,
        },
    }
    tifffile.imwrite(path, HYPERSTACK[0, :2, :2].swapaxes(0, 1), ome=True, metadata=metadata)
    facts = read_image(path, channel="alexa 488", z=1).facts
    assert facts.position == Position(channel=1, z=1)
    assert facts.planes == planes
    assert facts.to_json() == {
        "format": "TIFF",
        "dtype": "uint16",
        "bits": 16,
        "colour": False,
        "planes": 4,
        "plane": {"scene": 0, "time": 0, "channel": 1, "z": 1},
        "facts": {
            "channel_names": ("DAPI", "Alexa 488"),
            "pixel_size_um": (0.65, 0.325),
            "acquired": "2026-11-21T10:11:12",
            "stage_um": (4500.0, -20.0),
        },
    }


def test_an_ome_tiff_of_several_scenes(tmp_path: Path) -> None:
    path = tmp_path / "wells.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for scene, blur_px in enumerate((3, 0, 2)):
            size = 128 + 16 * scene
            writer.write(spots(1, blur_px=blur_px)[:size, :size].astype(np.float32), photometric="minisblack")
    assert [at.scene for at in positions(path)] == [0, 1, 2]
    assert read_image(path).facts.position == Position(scene=1)
    assert read_image(path, scene=2).shape == (160, 160)


def test_pages_of_other_files_are_left_to_them(tmp_path: Path) -> None:
    """An OME-TIFF of several files, each with all of the OME-XML."""
    for number in range(2):
        data = "".join(
            f'<TiffData FirstC="{c}" FirstZ="{z}" IFD="{z}" PlaneCount="1">'
            f'<UUID FileName="c{c}.ome.tif">urn:uuid:{c}</UUID></TiffData>'
            for c in range(2)
            for z in range(3)
        )
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{number}"><Image ID="Image:0"><Pixels DimensionOrder="XYZCT" ID="Pixels:0" '
            'SizeC="2" SizeT="1" SizeX="32" SizeY="40" SizeZ="3" Type="uint16">'
            f'<Channel ID="Channel:0:0" Name="BF"/><Channel ID="Channel:0:1"/>{data}</Pixels></Image></OME>'
        )
        pixels = HYPERSTACK[0, :3, number]
        with tifffile.TiffWriter(tmp_path / f"c{number}.ome.tif") as writer:
            for z, plane in enumerate(pixels):
                writer.write(plane, description=xml if z == 0 else None, metadata=None)
    path = tmp_path / "c1.ome.tif"
    assert positions(path) == [Position(channel=1, z=z) for z in range(3)]
    np.testing.assert_array_equal(planes_of(path), HYPERSTACK[0, :3, 1])
    assert read_image(path).facts.metadata.channel_names == ("BF", "Channel:0:1")


@pytest.mark.parametrize("xml", ["<OME><unclosed></OME>", "<!DOCTYPE x [<!ENTITY a 'b'>]><OME>&a;</OME>"])
def test_broken_ome_xml_leaves_the_pages(tmp_path: Path, xml: str) -> None:
    path = tmp_path / "x.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        for z in range(3):
            writer.write(HYPERSTACK[0, z, 0], description=xml if z == 0 else None, metadata=None)
    assert positions(path) == [Position(z=z) for z in range(3)]


def test_channels_within_a_page_have_numbers(tmp_path: Path) -> None:
    path = tmp_path / "contiguous.tif"
    pixels = np.moveaxis(HYPERSTACK[0, :2], 1, 3)
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")
    assert {(at.channel, at.z) for at in positions(path)} == {(c, z) for c in range(C) for z in range(2)}
    np.testing.assert_array_equal(read_image(path, channel=2, z=1).pixels, HYPERSTACK[0, 1, 2])


def test_imagej_tells_the_size_of_a_pixel(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(
        path, HYPERSTACK[0, 0, 0], imagej=True, resolution=(2.0, 4.0), metadata={"unit": "um", "axes": "YX"}
    )
    assert read_image(path).facts.metadata.pixel_size_um == (0.25, 0.5)


def test_only_chosen_planes_count_against_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, HYPERSTACK, imagej=True, metadata={"axes": "TZCYX"})
    plane_bytes = 40 * 32 * 2
    read_image(path, channel=1, time=0, max_bytes=Z * plane_bytes)
    with pytest.raises(ImageTooLargeError, match="choose a channel"):
        read_image(path, channel=1, max_bytes=Z * plane_bytes)


def test_the_maximum_of_a_channel(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    pixels = np.random.default_rng(0).integers(0, 60_000, HYPERSTACK.shape, np.uint16)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "TZCYX"})
    image = read_image(path, channel=2, time=1, z="max")
    np.testing.assert_array_equal(image.pixels, pixels[1, :, 2].max(axis=0))
    assert image.facts.to_json()["plane"] == {"scene": 0, "time": 1, "channel": 2, "z": "max"}
