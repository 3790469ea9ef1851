"""The header of a JPEG XL codestream: what will come out, before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from haste_workers.imaging.image import UnreadableImageError

CODESTREAM = b"\xff\x0a"
"""What a codestream begins with."""

_Choices: TypeAlias = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]
"""(offset, bits) of the four ways to write a number."""

_SIDE: _Choices = ((1, 9), (1, 13), (1, 18), (1, 30))
_ENUM: _Choices = ((0, 0), (1, 0), (2, 4), (18, 6))
_BITS: _Choices = ((8, 0), (10, 0), (12, 0), (1, 6))
_FLOAT_BITS: _Choices = ((32, 0), (16, 0), (24, 0), (1, 6))
_COUNT: _Choices = ((0, 0), (1, 0), (2, 4), (1, 12))
_SHIFT: _Choices = ((0, 0), (3, 0), (4, 0), (1, 3))
_NAME: _Choices = ((0, 0), (0, 4), (16, 5), (48, 10))

_RATIOS = ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Of width to height, by their number less 1."""

_ALPHA, _SPOT_COLOUR, _COLOUR_FILTER = 0, 2, 5  # of extra channels
_GREY = 1  # colour space


@dataclass(frozen=True)
class JxlHeader:
    """What a codestream says of its picture.

    Attributes
    ----------
    width, height : int
        In pixels, as stored: a camera's picture may have to be turned.
    bits : int
        A sample.
    floats : bool
        Samples are floating-point numbers.
    channels : int
        Colours and all others, opacity among them.
    colour : bool
    """

    width: int
    height: int
    bits: int
    floats: bool
    channels: int
    colour: bool


def jxl_header(codestream: bytes) -> JxlHeader:
    """Read the header of a codestream.

    Parameters
    ----------
    codestream : bytes
        Its first kilobytes, or all of it.

    Returns
    -------
    JxlHeader

    Raises
    ------
    UnreadableImageError
        It is no codestream, is cut, or holds what is not read: an animation, a preview.

    References
    ----------
    .. [1] ISO/IEC 18181-1:2024, "JPEG XL image coding system: Core coding system", annex D.
    """
    if not codestream.startswith(CODESTREAM):
        raise UnreadableImageError("its JPEG XL codestream does not begin as one")
    bits = _Bits(codestream[len(CODESTREAM) :])
    height, width = _size(bits)
    if bits.flag():  # all at its default
        return JxlHeader(width, height, bits=8, floats=False, channels=3, colour=True)
    if bits.flag():
        _skip_extra_fields(bits)
    floats, depth = _bit_depth(bits)
    bits.flag()  # whether 16 bits are enough while decoding
    extra = bits.number(_COUNT)
    for _ in range(extra):
        _skip_extra_channel(bits)
    bits.flag()  # whether colours are stored as XYB
    colour = _is_colour(bits)
    return JxlHeader(width, height, depth, floats, channels=(3 if colour else 1) + extra, colour=colour)


class _Bits:
    """Bits in the order of JPEG XL, the lowest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")
        self._count = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._count:
            raise UnreadableImageError("its JPEG XL header is cut")
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        self._count -= count
        return value

    def flag(self) -> bool:
        return bool(self.take(1))

    def number(self, choices: _Choices) -> int:
        offset, count = choices[self.take(2)]
        return offset + self.take(count)


def _size(bits: _Bits) -> tuple[int, int]:
    in_eights = bits.flag()

    def side() -> int:
        return 8 * (bits.take(5) + 1) if in_eights else bits.number(_SIDE)

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return height, side()
    numerator, denominator = _RATIOS[ratio - 1]
    return height, height * numerator // denominator


def _skip_extra_fields(bits: _Bits) -> None:
    bits.take(3)  # how it is to be turned
    if bits.flag():
        _size(bits)  # at which it is to be shown
    if bits.flag():
        raise UnreadableImageError("a JPEG XL with a preview is not read; store it without one")
    if bits.flag():
        raise UnreadableImageError("the JPEG XL is an animation")


def _bit_depth(bits: _Bits) -> tuple[bool, int]:
    floats = bits.flag()
    depth = bits.number(_FLOAT_BITS if floats else _BITS)
    if floats:
        bits.take(4)
    return floats, depth


def _skip_extra_channel(bits: _Bits) -> None:
    if bits.flag():  # all at its default
        return
    kind = bits.number(_ENUM)
    _bit_depth(bits)
    bits.number(_SHIFT)
    bits.take(8 * bits.number(_NAME))
    if kind == _ALPHA:
        bits.flag()
    elif kind == _SPOT_COLOUR:
        bits.take(64)
    elif kind == _COLOUR_FILTER:
        bits.number(((1, 0), (0, 2), (3, 4), (19, 8)))


def _is_colour(bits: _Bits) -> bool:
    if bits.flag():  # all at its default
        return True
    bits.flag()  # whether a profile follows
    return bits.number(_ENUM) != _GREY
