"""Failures of files have names, and files appear whole."""

import errno
import os
from pathlib import Path

import pytest

from haste_core.errors import BadInputError, PermanentError, SourceMissingError, TransientError
from haste_workers.imaging.files import appearing_whole, as_image_errors
from haste_workers.imaging.image import UnreadableImageError


def held_by_another_program() -> PermissionError:
    """Make the error that Windows has for a file that another program has open for itself."""
    error = PermissionError(errno.EACCES, "The process cannot access the file")
    error.winerror = 32  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("failure", "expected", "words"),
    [
        (FileNotFoundError(), SourceMissingError, "no file"),
        (NotADirectoryError(), SourceMissingError, "no file"),
        (IsADirectoryError(), UnreadableImageError, "a folder"),
        (PermissionError(), PermanentError, "may not read"),
        (held_by_another_program(), TransientError, "another program has field.tif open"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), TransientError, "for now"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), TransientError, "No space left"),
        (OSError("image file is truncated"), UnreadableImageError, "truncated"),
        (ValueError("bad strip"), UnreadableImageError, "bad strip"),
        # The file is not to blame; the runner names the limit that was hit.
        (MemoryError("Unable to allocate 3 GiB"), MemoryError, "3 GiB"),
        (BadInputError("needs grey"), BadInputError, "needs grey"),
    ],
)
def test_failures_become_errors_of_the_project(
    failure: Exception, expected: type[Exception], words: str
) -> None:
    with pytest.raises(expected, match=words) as caught, as_image_errors(Path("field.tif")):
        raise failure
    assert type(caught.value) is expected


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "field.tif"
    with appearing_whole(target) as partial:
        partial.write_bytes(b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with appearing_whole(tmp_path / "field.tif") as partial:
            partial.write_bytes(b"half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert list(tmp_path.iterdir()) == []
