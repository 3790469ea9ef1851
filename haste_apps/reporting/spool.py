"""A server's answers that are gone through more than once, kept in a temporary file and not in memory."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from pydantic import BaseModel

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)
Answer = TypeVar("Answer", bound=BaseModel)

_BLOCK = 200
"""Answers that are read back at a time; of the larger ones, decisions, a megabyte."""


class Answers(Protocol[Item_co]):
    """So many answers, to be gone through any number of times: a list, or a `Spool`."""

    def __len__(self) -> int:
        """Tell how many they are."""

    def __iter__(self) -> Iterator[Item_co]:
        """Go through them, in the order in which they came."""


class Spool(Generic[Answer]):
    """Answers of one kind in a temporary file without a name, which is gone when the block or program ends.

    Parameters
    ----------
    kind : type of Answer
    check : callable
        Called every now and then while the answers are gone through; it raises what is to end that.
    """

    def __init__(self, kind: type[Answer], check: Callable[[], None]) -> None:
        self._kind = kind
        self._check = check
        self._count = 0
        self._blocks: list[tuple[int, int]] = []
        # Without a buffer, since what could not be written is not to be tried again at the end.
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Answer]:
        for offset, size in self._blocks:
            self._check()
            self._file.seek(offset)
            for answer in json.loads(zlib.decompress(self._file.read(size))):
                yield self._kind.model_validate(answer)

    def fill(self, answers: Iterable[Answer]) -> None:
        """Put answers behind those that are there.

        Raises
        ------
        OSError
            If the folder for temporary files has no room.
        """
        for block in blocks(answers, _BLOCK):
            text = json.dumps([answer.model_dump(mode="json") for answer in block])
            self._append(zlib.compress(text.encode(), level=1))
            self._count += len(block)

    def _append(self, packed: bytes) -> None:
        try:
            offset = self._file.seek(0, 2)
            rest = memoryview(packed)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            folder = tempfile.gettempdir()
            what = f"{error.strerror}; name a folder with more room in TMPDIR"
            raise OSError(error.errno, what, folder) from error
        self._blocks.append((offset, len(packed)))


def blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Take so many items at a time; the last may be fewer."""
    rest = iter(items)
    while block := list(islice(rest, size)):
        yield block
