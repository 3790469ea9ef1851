"""The files of a Zarr array: whether those that a plane needs are all there, and safe to decode."""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from haste_workers.imaging.image import UnreadableImageError, check_size

if TYPE_CHECKING:
    import zarr

_CODECS = frozenset(
    {
        *("blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma", "delta", "shuffle"),
        *("crc32", "crc32c", "adler32", "fletcher32"),
        *("bytes", "transpose", "sharding_indexed"),
    }
)
"""Whatever is not named here is not decoded: a codec may run code that stands in the data (pickle)."""

_ABSENT = np.iinfo(np.uint64).max
"""Offset and length of a chunk that its shard does not hold."""


_BLOSC = struct.Struct("<4xI4xI")
"""The start of what blosc has packed: the size of what it packed, and of the whole."""

_CHECKSUMS_BYTES = 64
"""At most, that filters put to a chunk."""


@dataclass(frozen=True)
class Shards:
    """How the chunks of an array lie in larger files.

    Attributes
    ----------
    chunks : tuple of int
        Shape of a chunk.
    per_shard : tuple of int
        How many chunks a file holds along each dimension.
    checksum_bytes : int
        Behind the table of chunks.
    index_at_start : bool
        Whether the table begins the file; else it ends it.
    """

    chunks: tuple[int, ...]
    per_shard: tuple[int, ...]
    checksum_bytes: int
    index_at_start: bool


@dataclass(frozen=True)
class Storage:
    """How an array's chunks lie in files.

    Attributes
    ----------
    shards : Shards, optional
        None if each chunk is a file.
    blosc : bool
        Whether each such file was packed by blosc, which reads beyond the end of a file that was cut.
    """

    shards: Shards | None
    blosc: bool


def array_metadata(folder: Path) -> dict[str, Any]:
    """Read an array's own description, and refuse what cannot be read safely.

    Parameters
    ----------
    folder : pathlib.Path
        Of the array.

    Returns
    -------
    dict
        Of Zarr's version 2 or 3.

    Raises
    ------
    UnreadableImageError
        There is none; or it needs a codec that is not known, or chunks of varying size.
    """
    for name in ("zarr.json", ".zarray"):
        if (folder / name).is_file():
            break
    else:
        raise UnreadableImageError(f"the array {folder.name!r} is not there; was it still being copied?")
    metadata: dict[str, Any] = json.loads((folder / name).read_bytes())
    unknown = sorted(set(_codec_names(metadata)) - _CODECS)
    if unknown:
        raise UnreadableImageError(
            f"its chunks are packed by {' and '.join(unknown)}, which is not read; store it by blosc or zstd"
        )
    if metadata.get("chunk_grid", {"name": "regular"})["name"] != "regular":
        raise UnreadableImageError("its chunks vary in size; store it with chunks of one size")
    return metadata


def _codec_names(metadata: Mapping[str, Any]) -> Iterator[str]:
    if metadata["zarr_format"] == 2:
        yield from (
            str(codec["id"])
            for codec in (metadata.get("compressor"), *(metadata.get("filters") or ()))
            if codec
        )
    else:
        yield from _v3_names(metadata["codecs"])


def _v3_names(codecs: Sequence[Any]) -> Iterator[str]:
    for codec in codecs:
        yield str(codec["name"]).removeprefix("numcodecs.")
        inside = codec.get("configuration") or {}
        yield from _v3_names([*inside.get("codecs", ()), *inside.get("index_codecs", ())])


def storage_of(metadata: Mapping[str, Any]) -> Storage:
    """Tell how an array's chunks lie in files.

    Parameters
    ----------
    metadata : mapping
        As of `array_metadata`.

    Returns
    -------
    Storage

    Raises
    ------
    UnreadableImageError
        In shards that are not looked through here.

    References
    ----------
    "Zarr sharding codec, version 1.0", zarr-specs.
    """
    names = list(_codec_names(metadata))
    if "sharding_indexed" not in names:
        last = metadata.get("compressor") or metadata.get("codecs", [{}])[-1]
        return Storage(shards=None, blosc="blosc" in (last.get("id"), last.get("name")))
    codec = metadata["codecs"][0]
    index_names = [inner["name"] for inner in codec.get("configuration", {}).get("index_codecs", ())]
    if (
        len(metadata["codecs"]) > 1
        or names.count("sharding_indexed") > 1
        or index_names not in (["bytes"], ["bytes", "crc32c"])
    ):
        raise UnreadableImageError("its shards are of a kind that is not read; store it with plain shards")
    configuration = codec["configuration"]
    chunks = tuple(configuration["chunk_shape"])
    shard = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    shards = Shards(
        chunks=chunks,
        per_shard=tuple(whole // part for whole, part in zip(shard, chunks, strict=True)),
        checksum_bytes=4 * (len(index_names) - 1),
        index_at_start=configuration.get("index_location") == "start",
    )
    return Storage(shards=shards, blosc=False)


def check_chunks(array: zarr.Array[Any], folder: Path, storage: Storage, numbers: Sequence[int]) -> int:
    """Refuse a plane of which a chunk is missing, which Zarr would fill up with zeros.

    Parameters
    ----------
    array : zarr.Array
        Its last two dimensions are the plane's.
    folder : pathlib.Path
        Of the array.
    storage : Storage
    numbers : sequence of int
        Of the plane, along all other dimensions.

    Returns
    -------
    int
        Bytes that the plane's chunks take in their files.

    Raises
    ------
    UnreadableImageError
        A chunk is missing, or ends behind the end of its file.
    ImageBombError
        A chunk unpacks out of all proportion.
    """
    grid = array.shards or array.chunks
    first = [number // size for number, size in zip(numbers, grid, strict=False)]
    counts = [math.ceil(side / size) for side, size in zip(array.shape[-2:], grid[-2:], strict=True)]
    chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
    stored_bytes = 0
    for cell in itertools.product(*map(range, counts)):
        where = (*first, *cell)
        file = folder / array.metadata.encode_chunk_key(where)
        try:
            if storage.shards is None:
                sizes = [_bytes_of_chunk(file, chunk_bytes, blosc=storage.blosc)]
            else:
                part = _part(array, storage.shards, where, numbers)
                sizes = _bytes_in_shard(file, storage.shards, part)
        except FileNotFoundError as error:
            # Not looked for further: a header may declare any number of chunks.
            raise _absent(f"the chunk {file.relative_to(folder).as_posix()} is not there") from error
        for size in sizes:
            check_size(chunk_bytes, stored_bytes=size, max_bytes=chunk_bytes)
        stored_bytes += sum(sizes)
    return stored_bytes


def _bytes_of_chunk(path: Path, chunk_bytes: int, *, blosc: bool) -> int:
    if not blosc:
        return path.stat().st_size
    with path.open("rb") as file:
        start, file_bytes = file.read(_BLOSC.size), file.seek(0, os.SEEK_END)
    if len(start) < _BLOSC.size or _BLOSC.unpack(start)[1] > file_bytes:
        raise UnreadableImageError(f"the chunk {path.name} is not complete; was it still being copied?")
    if _BLOSC.unpack(start)[0] > chunk_bytes + _CHECKSUMS_BYTES:
        raise UnreadableImageError(f"the chunk {path.name} unpacks to more than the array says")
    return file_bytes


def _part(
    array: zarr.Array[Any], shards: Shards, where: Sequence[int], numbers: Sequence[int]
) -> tuple[slice, ...]:
    """Tell which chunks of a shard hold a plane."""
    grid = array.shards or array.chunks
    part = [
        slice(number % size // chunk, number % size // chunk + 1)
        for number, size, chunk in zip(numbers, grid, shards.chunks, strict=False)
    ]
    for axis in (-2, -1):
        left = array.shape[axis] - where[axis] * grid[axis]
        part.append(slice(0, math.ceil(min(left, grid[axis]) / shards.chunks[axis])))
    return tuple(part)


def _bytes_in_shard(path: Path, shards: Shards, part: tuple[slice, ...]) -> list[int]:
    table_bytes = 16 * math.prod(shards.per_shard)
    with path.open("rb") as file:
        file_bytes = file.seek(0, os.SEEK_END)
        at_end = max(0, file_bytes - table_bytes - shards.checksum_bytes)
        file.seek(0 if shards.index_at_start else at_end)
        table = file.read(min(table_bytes, file_bytes))
    if len(table) == table_bytes:
        entries = np.frombuffer(table, "<u8").reshape(*shards.per_shard, 2)[part].reshape(-1, 2)
        if (entries == _ABSENT).any():
            raise _absent(f"chunks of this plane are missing in the shard {path.name}")
        if (entries <= file_bytes).all() and (entries.sum(axis=1) <= file_bytes).all():
            return [int(size) for size in entries[:, 1]]
    raise UnreadableImageError(f"the shard {path.name} is not complete; was it still being copied?")


def _absent(what: str) -> UnreadableImageError:
    return UnreadableImageError(
        f"{what}; was it still being written or copied? If they are left out because they hold only zeros, "
        "have them written (in zarr-python: write_empty_chunks)"
    )
