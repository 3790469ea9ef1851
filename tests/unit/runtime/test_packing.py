"""Folders that travel as one stream."""

import io
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from haste_core.errors import InvalidError, PermanentError, TransientError
from haste_runtime import packing
from haste_runtime.packing import open_packed, unpack
from haste_workers.durable import sha256_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plate.zarr"
    for name, size in {
        "zarr.json": 40,
        "0/c/0/0": 70_000,
        "0/c/0/1": 512,
        "0/empty": 0,
        "é 1/x": 513,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(random.Random(name).randbytes(size))
    return folder


def packed(folder: Path) -> bytes:
    with open_packed(folder) as stream:
        return stream.read()


def saved(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "packed"
    path.write_bytes(content)
    return path


def test_a_folder_comes_out_as_it_went_in(folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert unpack(saved(tmp_path, packed(folder)), made) == sha256_of(folder) == sha256_of(made)


def test_tar_reads_it(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(folder))) as archive:
        names = sorted(member.name for member in archive.getmembers())
        assert names == ["0/c/0/0", "0/c/0/1", "0/empty", "zarr.json", "é 1/x"]
        (file,) = [archive.extractfile("0/c/0/0")]
        assert file is not None
        assert file.read() == (folder / "0/c/0/0").read_bytes()


def test_what_tar_writes_is_read(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "by-tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(folder, "./")
    assert unpack(path, tmp_path / "made") == sha256_of(folder)


def test_it_goes_on_from_any_byte(folder: Path) -> None:
    whole = packed(folder)
    assert packed(folder) == whole
    with open_packed(folder) as stream:
        assert stream.seek(0, os.SEEK_END) == len(whole)
        edges = [0, 1, 511, 512, 513, 1024, len(whole) - 1, len(whole)]
        for offset in [*edges, *range(0, len(whole), 7919)]:
            stream.seek(offset)
            assert stream.read(3000) == whole[offset : offset + 3000], offset


def test_a_file_that_becomes_shorter_is_told(folder: Path) -> None:
    with open_packed(folder) as stream:
        (folder / "0/c/0/0").write_bytes(b"short")
        with pytest.raises(TransientError, match="became shorter"):
            stream.read()


@pytest.mark.parametrize("name", ["a:b", "con", "x" * 101 + "/" + "y" * 156, "back\\slash", "end."])
def test_names_that_cannot_be_sent(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).touch()
    with pytest.raises(PermanentError, match="cannot be sent"):
        open_packed(folder)


def test_links_are_not_followed(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(PermanentError, match="a link, or no file"):
        open_packed(folder)


def tar_of(*members: tarfile.TarInfo, form: int = tarfile.USTAR_FORMAT) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=form) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return content.getvalue()


def member(name: str, size: int = 4, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, "/etc/passwd"
    return info


def with_size(field: bytes) -> bytes:
    """Write a header whose size is what no tar would write, with a checksum that fits."""
    block = bytearray(tar_of(member("a"))[:512])
    block[124:136] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(1536)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "above": lambda: tar_of(member("../x")),
    "absolute": lambda: tar_of(member("/etc/x")),
    "above within": lambda: tar_of(member("a/../../x")),
    "drive": lambda: tar_of(member("C:\\x")),
    "device": lambda: tar_of(member("a/nul.0")),
    "control": lambda: tar_of(member("a\nb")),
    "link": lambda: tar_of(member("x", 0, tarfile.SYMTYPE)),
    "hard link": lambda: tar_of(member("x", 0, tarfile.LNKTYPE)),
    "pipe": lambda: tar_of(member("x", 0, tarfile.FIFOTYPE)),
    "sparse": lambda: tar_of(member("x", 4, tarfile.GNUTYPE_SPARSE)),
    "extended": lambda: tar_of(member("x" * 300), form=tarfile.PAX_FORMAT),
    "long name of GNU": lambda: tar_of(member("x" * 300), form=tarfile.GNU_FORMAT),
    "twice": lambda: tar_of(member("x"), member("x")),
    "a file and a folder": lambda: tar_of(member("x"), member("x/y")),
    "cut": lambda: tar_of(member("x", 4000))[:2000],
    "cut in a header": lambda: tar_of(member("x"))[:100],
    "empty": lambda: b"",
    "too large": lambda: with_size(b"77777777777\0"),
    "below nothing": lambda: with_size(b"\xff" * 12),
    "no tar": lambda: b"pixels" * 1000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_streams_make_nothing(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, HOSTILE[kind]())
    with pytest.raises(InvalidError, match="the folder"):
        unpack(path, tmp_path / "made")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["packed"]


def test_no_more_files_than_there_may_be(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MAX_FILES", 4)
    with pytest.raises(InvalidError, match="more than 4 files"):
        unpack(saved(tmp_path, packed(folder)), tmp_path / "made")
