"""OME-Zarr folders are read plane by plane, in full resolution, or not at all."""

import json
import pickle
import shutil
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from haste_core.errors import PermanentError
from haste_workers.imaging.image import (
    MAX_BYTES,
    ImageBombError,
    ImageTooLargeError,
    Position,
    UnreadableImageError,
)
from haste_workers.imaging.read import open_image, read_image
from tests.unit.imaging.zarr_folders import chunk_files, noise, write_group, write_image

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])
T, C, Z, SIZE = 2, 3, 2, (40, 50)


@FORMATS
@pytest.mark.parametrize("axes", ["tczyx", "tzcyx", "ctzyx"])
def test_every_plane_is_where_it_was(tmp_path: Path, zarr_format: int, axes: str) -> None:
    sizes = {"t": T, "c": C, "z": Z, "y": SIZE[0], "x": SIZE[1]}
    pixels = noise(*(sizes[axis] for axis in axes))
    path = write_image(tmp_path / "é", pixels, axes, zarr_format=zarr_format, chunks=(1, 2, 2, 16, 20))
    in_order = pixels.transpose([axes.index(axis) for axis in "tczyx"])
    with open_image(path) as image:
        assert (image.format, image.dtype, image.bits, image.colour) == ("OME-Zarr", "uint16", 16, False)
        assert len({plane.position for plane in image.planes}) == T * C * Z
        for plane in image.planes:
            at = plane.position
            np.testing.assert_array_equal(plane.decode(), in_order[at.time, at.channel, at.z])


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32", "int16", "bool"])
@FORMATS
def test_levels_are_kept(tmp_path: Path, zarr_format: int, dtype: str) -> None:
    pixels = (noise(*SIZE) % 251).astype(dtype)
    image = read_image(write_image(tmp_path / "a.zarr", pixels, "yx", zarr_format=zarr_format))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == np.dtype(dtype).newbyteorder("=")


@FORMATS
def test_what_the_folder_tells(tmp_path: Path, zarr_format: int) -> None:
    more = {"omero": {"channels": [{"label": "DAPI"}, {"label": "Alexa 488"}]}}
    pixels = noise(2, 3, *SIZE)
    path = write_image(tmp_path / "a.zarr", pixels, "czyx", zarr_format=zarr_format, more=more)
    image = read_image(path, channel="alexa 488", z=2)
    np.testing.assert_array_equal(image.pixels, pixels[1, 2])
    assert image.facts.to_json() == {
        "format": "OME-Zarr",
        "dtype": "uint16",
        "bits": 16,
        "colour": False,
        "planes": 6,
        "plane": {"scene": 0, "time": 0, "channel": 1, "z": 2},
        "facts": {"channel_names": ("DAPI", "Alexa 488"), "pixel_size_um": (0.5, 0.5)},
    }


@FORMATS
def test_fields_of_a_plate_are_scenes(tmp_path: Path, zarr_format: int) -> None:
    plate, fields = tmp_path / "plate.zarr", noise(4, *SIZE)
    write_group(plate, zarr_format, {"plate": {"wells": [{"path": "A/1"}, {"path": "B/12"}]}})
    for number, (well, field) in enumerate([("A/1", "0"), ("A/1", "1"), ("B/12", "0"), ("B/12", "1")]):
        write_group(plate / well, zarr_format, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        write_image(plate / well / field, fields[number], "yx", zarr_format=zarr_format)
    for scene in range(4):
        np.testing.assert_array_equal(read_image(plate, scene=scene).pixels, fields[scene])
    np.testing.assert_array_equal(read_image(plate / "B" / "12", scene=1).pixels, fields[3])
    shutil.rmtree(plate / "B" / "12" / "1")
    with pytest.raises(UnreadableImageError, match="group '1' is not there"):
        read_image(plate, scene=0)


@FORMATS
@pytest.mark.parametrize("series", [None, ["10", "0"]])
def test_what_bioformats2raw_writes(tmp_path: Path, zarr_format: int, series: list[str] | None) -> None:
    path, images = tmp_path / "a.zarr", {"0": noise(*SIZE), "2": noise(30, 20), "10": noise(20, 30)}
    write_group(path, zarr_format, {"bioformats2raw.layout": 3})
    if series:
        write_group(path / "OME", zarr_format, {"series": series})
    for name, pixels in images.items():
        write_image(path / name, pixels, "yx", zarr_format=zarr_format)
    with open_image(path) as image:
        assert [plane.position for plane in image.planes] == [
            Position(scene=scene) for scene in range(len(series or images))
        ]
        for name, plane in zip(series or images, image.planes, strict=True):
            np.testing.assert_array_equal(plane.decode(), images[name])


@FORMATS
def test_a_missing_chunk_is_not_read_as_zeros(tmp_path: Path, zarr_format: int) -> None:
    pixels = noise(2, *SIZE)
    path = write_image(tmp_path / "a.zarr", pixels, "zyx", zarr_format=zarr_format, chunks=(1, 20, 20))
    chunks = chunk_files(path / "0")
    assert len(chunks) == 2 * 2 * 3
    chunks[-1].unlink()
    np.testing.assert_array_equal(read_image(path, z=0).pixels, pixels[0])
    with pytest.raises(UnreadableImageError, match=r"chunk .* is not there"):
        read_image(path, z=1)
    with pytest.raises(UnreadableImageError, match="not there"):
        read_image(path)


SHARDED = {"chunks": (1, 10, 10), "shards": (2, 20, 30)}


@pytest.mark.parametrize("index_location", ["start", "end"])
def test_a_chunk_that_its_shard_lacks_is_not_read_as_zeros(tmp_path: Path, index_location: str) -> None:
    codec = zarr.codecs.ShardingCodec(chunk_shape=SHARDED["chunks"], index_location=index_location)
    pixels = noise(3, *SIZE)
    path = write_image(tmp_path / "whole", pixels, "zyx", **_serialised(codec))
    for z in range(3):
        np.testing.assert_array_equal(read_image(path, z=z).pixels, pixels[z])
    pixels[1, 30:, 40:] = 0
    holes = write_image(tmp_path / "holes", pixels, "zyx", **_serialised(codec), config={})
    np.testing.assert_array_equal(read_image(holes, z=0).pixels, pixels[0])
    with pytest.raises(UnreadableImageError, match="chunks of this plane are missing in the shard"):
        read_image(holes, z=1)
    for shard in chunk_files(path / "0"):
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UnreadableImageError):
        read_image(path)


def _serialised(codec: Any) -> dict[str, Any]:
    return {"chunks": SHARDED["shards"], "serializer": codec, "compressors": None, "filters": None}


@FORMATS
@pytest.mark.parametrize("packed", [False, True])
def test_a_chunk_cut_anywhere_is_never_read_in_part(tmp_path: Path, zarr_format: int, packed: bool) -> None:
    blosc = numcodecs.Blosc() if zarr_format == 2 else zarr.codecs.BloscCodec(typesize=2)
    options = {"chunks": (20, 25), "compressors": blosc if packed else None}
    path = write_image(tmp_path / "a.zarr", noise(*SIZE), "yx", zarr_format=zarr_format, **options)
    chunk = chunk_files(path / "0")[1]
    content = chunk.read_bytes()
    for length in [*range(0, len(content), len(content) // 4), *range(len(content) - 5, len(content))]:
        chunk.write_bytes(content[:length])
        with pytest.raises(UnreadableImageError):
            read_image(path)


def array_json(path: Path, **changed: Any) -> None:
    """Change what an array says of itself."""
    file = path / "0" / "zarr.json"
    file = file if file.exists() else path / "0" / ".zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


@FORMATS
def test_headers_that_promise_too_much(tmp_path: Path, zarr_format: int) -> None:
    path = write_image(tmp_path / "a.zarr", noise(2, *SIZE), "zyx", zarr_format=zarr_format)
    array_json(path, shape=[2, 100_000, 100_000])
    with pytest.raises(ImageTooLargeError, match="GB when decoded"):
        read_image(path)
    array_json(path, shape=[2**40, *SIZE])
    with pytest.raises(UnreadableImageError, match="planes"):
        read_image(path)
    array_json(path, shape=[0, *SIZE])
    with pytest.raises(UnreadableImageError, match="no planes"):
        read_image(path)
    if zarr_format == 2:
        array_json(path, shape=[2, *SIZE], chunks=[1, 100_000, 100_000])
        with pytest.raises(UnreadableImageError, match="chunks are too large"):
            read_image(path)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", np.full((10, 10), 1, np.uint8), "yx", zarr_format=2)
    array_json(path, shape=[20_000, 10_000], chunks=[20_000, 10_000])
    with pytest.raises(ImageBombError):
        read_image(path)


class Surprise:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return self.file.touch, ()


@pytest.mark.parametrize("where", ["filters", "compressor"])
def test_no_code_in_a_chunk_is_run(tmp_path: Path, where: str) -> None:
    path = write_image(tmp_path / "a.zarr", noise(*SIZE), "yx", zarr_format=2)
    codec = {"id": "pickle", "protocol": 5}
    array_json(path, **{"compressor": None, where: [codec] if where == "filters" else codec})
    for chunk in chunk_files(path / "0"):
        chunk.write_bytes(pickle.dumps(Surprise(tmp_path / "surprise")))
    with pytest.raises(UnreadableImageError, match="packed by pickle"):
        read_image(path)
    assert not (tmp_path / "surprise").exists()


@FORMATS
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({}, "tells of no image"),
        ({"multiscales": [{"datasets": [{"path": "0"}]}]}, r"older than version 0\.4"),
        ({"plate": {"wells": [{"path": "../A"}]}}, "lead out of the folder"),
        ({"well": {"images": [{"path": "/etc"}]}}, "lead out of the folder"),
        ({"plate": {"wells": [{"path": "A/1"}]}}, "group '1' is not there"),
        ({"bioformats2raw.layout": 3}, "no planes"),
    ],
)
def test_what_is_no_image(tmp_path: Path, zarr_format: int, told: dict[str, Any], reason: str) -> None:
    path = tmp_path / "a.zarr"
    write_group(path, zarr_format, told or {"other": 1})
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(path)


def test_arrays_without_planes(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="no planes of grey levels"):
        read_image(write_image(tmp_path / "last c", noise(20, 30, 3), "yxc"))
    with pytest.raises(UnreadableImageError, match="no planes of grey levels"):
        read_image(write_image(tmp_path / "complex", noise(20, 30).astype(complex), "yx"))
    path = write_image(tmp_path / "copied", noise(20, 30), "yx")
    shutil.rmtree(path / "0")
    with pytest.raises(UnreadableImageError, match="array '0' is not there"):
        read_image(path)


def test_a_worker_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_image(tmp_path / "a.zarr", noise(*SIZE), "yx")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(PermanentError, match=r"an OME-Zarr folder; to read it, install haste-server\[zarr\]"):
        read_image(path)


def described_anew(array: Path, **changes: Any) -> None:
    metadata = json.loads((array / ".zarray").read_text())
    (array / ".zarray").write_text(json.dumps({**metadata, **changes}))


def test_a_header_of_countless_chunks_is_given_up_at_the_first_that_is_missing(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", noise(*SIZE), "yx", zarr_format=2)
    described_anew(path / "0", shape=[40_000, 40_000], chunks=[1, 1], dtype="|u1", compressor=None)
    with pytest.raises(UnreadableImageError, match=r"the chunk 0\.1 is not there"):
        read_image(path)


def test_a_small_plane_of_a_large_chunk_may_be_a_bomb(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", noise(1, *SIZE), "zyx", zarr_format=2)
    described_anew(path / "0", chunks=[MAX_BYTES // (2 * 40 * 50), *SIZE])
    with pytest.raises(ImageBombError, match="2000 MB would unpack"):
        read_image(path)


def test_a_chunk_that_unpacks_to_more_than_the_array_says(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", noise(*SIZE), "yx", zarr_format=2, compressors=numcodecs.Blosc())
    (chunk,) = chunk_files(path / "0")
    chunk.write_bytes(numcodecs.Blosc().encode(bytes(100 * chunk.stat().st_size)))
    with pytest.raises(UnreadableImageError, match="unpacks to more than the array says"):
        read_image(path)


def test_a_shard_with_a_table_larger_than_the_file_asks_for_no_memory(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", noise(*SIZE), "yx", chunks=(10, 10), shards=(40, 50))
    metadata = json.loads((path / "0" / "zarr.json").read_text())
    metadata["shape"] = metadata["chunk_grid"]["configuration"]["chunk_shape"] = [40_000, 20_000]
    metadata["codecs"][0]["configuration"]["chunk_shape"] = [1, 1]
    (path / "0" / "zarr.json").write_text(json.dumps(metadata))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImageError, match="the shard 0 is not complete"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_a_plate_that_names_an_image_over_and_over(tmp_path: Path) -> None:
    write_image(tmp_path / "A" / "1" / "0", noise(*SIZE), "yx")
    write_group(tmp_path / "A" / "1", 3, {"well": {"images": [{"path": "0"}]}})
    write_group(tmp_path, 3, {"plate": {"wells": [{"path": "A/1"}] * 100_000}})
    with pytest.raises(UnreadableImageError, match="name the array '0' twice"):
        read_image(tmp_path)
