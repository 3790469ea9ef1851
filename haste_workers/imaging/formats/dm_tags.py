"""The tags of a DigitalMicrograph file: a tree, read whole, of which large values are only located."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

from haste_workers.imaging.image import UnreadableImageError

_NUMBERS = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "B", 11: "q", 12: "Q"}
_STRUCT, _STRING, _ARRAY = 15, 18, 20
_GROUP, _VALUE = 20, 21

_MAX_TAGS, _MAX_DEPTH, _MAX_TYPE_NUMBERS = 1_000_000, 60, 500
"""Of a file. GMS writes some thousand tags, a dozen levels deep, and values of a few dozen fields."""

_MAX_TEXT_BYTES = 2000


@dataclass(frozen=True)
class Block:
    """An array of numbers in the file: pixels, or a text in UTF-16.

    Attributes
    ----------
    offset : int
        In bytes.
    length : int
        Numbers.
    size_bytes : int
    """

    offset: int
    length: int
    size_bytes: int


Tag: TypeAlias = "int | float | Block | dict[str, Tag] | None"
"""A number, an array, a group; None for values of other types."""


class DmFile:
    """A DM3 or DM4 file and its tags.

    Parameters
    ----------
    file : binary file
        Open as long as texts are read.

    Attributes
    ----------
    version : int
        3 or 4.
    byte_order : str
        ``"<"`` or ``">"``, of all values.
    tags : dict
        By label; those without, by their number in the group from 0.

    Raises
    ------
    UnreadableImageError
        The tags are damaged, or the file ends before they do.

    References
    ----------
    C. Boothroyd, "DigitalMicrograph file format", of DM3 and DM4.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._left = _MAX_TAGS
        (self.version,) = self._unpack(">I")
        self._wide = self.version > 3
        self._number = ">Q" if self._wide else ">I"
        self._unpack(self._number)  # the length
        self.byte_order = "<" if self._unpack(">I")[0] else ">"
        self.tags = self._group(depth=0)

    def text(self, tag: Tag) -> str:
        """Read a text.

        Parameters
        ----------
        tag : Tag

        Returns
        -------
        str
            Empty if the tag is no text.
        """
        if not isinstance(tag, Block) or not 2 * tag.length == tag.size_bytes <= _MAX_TEXT_BYTES:
            return ""
        self._file.seek(tag.offset)
        encoding = "utf-16-le" if self.byte_order == "<" else "utf-16-be"
        return self._read(tag.size_bytes).decode(encoding, errors="replace")

    def _group(self, *, depth: int) -> dict[str, Tag]:
        if depth > _MAX_DEPTH:
            raise UnreadableImageError("damaged DM file (its tags are nested too deep)")
        self._unpack("2B")  # sorted, open
        (count,) = self._unpack(self._number)
        tags: dict[str, Tag] = {}
        for index in range(count):
            self._left -= 1
            if self._left < 0:
                raise UnreadableImageError(f"damaged DM file (it has more than {_MAX_TAGS} tags)")
            kind, label_bytes = self._unpack(">BH")
            label = self._read(label_bytes).decode("latin-1") or str(index)
            if self._wide:
                self._unpack(self._number)  # the tag's length
            if kind not in (_GROUP, _VALUE):
                raise UnreadableImageError(f"damaged DM file (it has a tag of unknown kind {kind})")
            tags[label] = self._group(depth=depth + 1) if kind == _GROUP else self._value()
        return tags

    def _value(self) -> Tag:
        if self._read(4) != b"%%%%":
            raise UnreadableImageError("damaged DM file (a tag does not begin as it should)")
        (type_numbers,) = self._unpack(self._number)
        if not 0 < type_numbers <= _MAX_TYPE_NUMBERS:
            raise UnreadableImageError("damaged DM file (a tag has no type)")
        kind, *details = self._unpack(f">{type_numbers}{self._number[1]}")
        if kind in _NUMBERS:
            number: int | float = self._unpack(self.byte_order + _NUMBERS[kind])[0]
            return number
        offset, size_bytes = self._file.tell(), _value_bytes(kind, details)
        if offset + size_bytes > self._size_bytes:
            raise _incomplete()
        self._file.seek(offset + size_bytes)
        is_numbers = kind == _ARRAY and details[0] in _NUMBERS
        return Block(offset, details[1], size_bytes) if is_numbers else None

    def _unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self._read(struct.calcsize(form)))

    def _read(self, size_bytes: int) -> bytes:
        read = self._file.read(size_bytes)
        if len(read) < size_bytes:
            raise _incomplete()
        return read


def _incomplete() -> UnreadableImageError:
    return UnreadableImageError("incomplete DM file; was it still being written or copied?")


def _value_bytes(kind: int, details: list[int]) -> int:
    """Tell the size of a value: of an array, its element's type stands before its length."""
    if kind == _ARRAY:
        return _value_bytes(details[0], details[1:-1]) * details[-1]
    if kind == _STRUCT:  # length of its name, number of fields, and of each field: length of its name, type
        return sum(_value_bytes(field, []) for field in details[3::2])
    if kind == _STRING:
        return details[0]
    if kind not in _NUMBERS:
        raise UnreadableImageError(f"damaged DM file (it has a value of unknown type {kind})")
    return struct.calcsize("=" + _NUMBERS[kind])


def tag_at(tag: Tag, *labels: str) -> Tag:
    """Follow labels down the tree.

    Parameters
    ----------
    tag : Tag
    *labels : str

    Returns
    -------
    Tag
        None if there is none.
    """
    for label in labels:
        if not isinstance(tag, dict):
            return None
        tag = tag.get(label)
    return tag


def number_at(tag: Tag, *labels: str) -> float | None:
    """Follow labels down the tree to a number.

    Parameters
    ----------
    tag : Tag
    *labels : str

    Returns
    -------
    float or None
        None if there is none, or it is not finite.
    """
    found = tag_at(tag, *labels)
    return found if isinstance(found, int | float) and math.isfinite(found) else None
