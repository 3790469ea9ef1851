"""An image as read from a file, an image file as its readers open it, and the ways in which both fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from haste_core.errors import BadInputError

Pixels: TypeAlias = NDArray[Any]
"""Grey levels of one plane: (M, N) of a real dtype."""

MAX_BYTES = 2_000_000_000
"""Decoded size up to which an image is read: a stack of 200 planes of a 5-megapixel camera."""

MAX_PLANES = 500_000
"""In one file, so that the list of what a header declares stays below some 400 MB."""

_BOMB_BYTES, _BOMB_RATIO = 100_000_000, 250
"""A plane above this size that unpacks to more than so many times its stored size is no camera's image:
even a binary mask of a few cells keeps more than a 250th."""


class UnreadableImageError(BadInputError):
    """The file is no image, is damaged, or is not complete; reading it again cannot help."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not a readable image: {reason}")


class ImageTooLargeError(BadInputError):
    """The image would need more memory than a worker gives to one image."""

    def __init__(self, needed_bytes: int, max_bytes: int) -> None:
        super().__init__(
            f"the image takes {needed_bytes / 1e9:.1f} GB when decoded, the limit is "
            f"{max_bytes / 1e9:.1f} GB; choose a channel, plane or time point, split the file, or raise "
            "`image_limit_bytes` in the worker's settings"
        )


class ImageBombError(BadInputError):
    """The image unpacks to a size out of all proportion to what is stored."""

    def __init__(self, decoded_bytes: int, stored_bytes: int) -> None:
        super().__init__(
            f"not a readable image: {decoded_bytes / 1e6:.0f} MB would unpack from {stored_bytes / 1e6:.2g} "
            "MB, as no image with content does; if it is one, store it uncompressed"
        )


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a file tells of how a plane was taken; all of it may be unknown.

    Attributes
    ----------
    channel_names : tuple of str
        Of all channels, in order.
    pixel_size_um : (float, float), optional
        Along height and width, in micrometres of the specimen.
    acquired : str, optional
        When, in ISO 8601; local time if it names no zone.
    stage_um : tuple of float, optional
        Position of the stage (x, y, and z if known) in micrometres.
    """

    channel_names: tuple[str, ...] = ()
    pixel_size_um: tuple[float, float] | None = None
    acquired: str | None = None
    stage_um: tuple[float, ...] | None = None


@dataclass(frozen=True, order=True, kw_only=True)
class Position:
    """Where a plane stands in its file; all numbers count from 0.

    Attributes
    ----------
    scene : int
        Of several images in one file: positions of the stage, wells.
    time, channel : int
    z : int
        In a focus series.
    """

    scene: int = 0
    time: int = 0
    channel: int = 0
    z: int = 0

    @classmethod
    def along(cls, axes: Iterable[tuple[str, int, int]]) -> Position:
        """Find a plane's position along dimensions of which several may count as one, such as `z`.

        Parameters
        ----------
        axes : iterable of (str, int, int)
            ``scene``, ``time``, ``channel`` or ``z``, the number from 0, and how many there are. Of those
            with one name, the slowest first.

        Returns
        -------
        Position
        """
        numbers: dict[str, int] = {}
        for name, number, size in axes:
            numbers[name] = numbers.get(name, 0) * size + number
        return cls(**numbers)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """One plane of an open image file, not decoded yet.

    Attributes
    ----------
    decode : callable
        Gives the (M, N) grey levels, for as long as the file is open. Greyscale keeps its dtype and its
        levels. Colour is luminance: in [0, 1], float32 for 8- and 16-bit channels.
    decoded_bytes : int
        As the header declares it, of all that has to be decoded: all channels of a colour or of a page.
    stored_bytes : int
        In the file, of the same.
    decoded_together : int
        How many planes come out of that, and share its size.
    position : Position
    metadata : Metadata
    """

    decode: Callable[[], Pixels]
    decoded_bytes: int
    stored_bytes: int
    decoded_together: int = 1
    position: Position = Position()
    metadata: Metadata = Metadata()


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenImage:
    """An image file of which only the header has been read.

    Attributes
    ----------
    format : str
        By the file's content, for example ``"TIFF"``.
    dtype : str
        Of a channel as stored, for example ``"uint16"``.
    bits : int
        Stored bits of a channel.
    colour : bool
        Whether the planes are colour.
    planes : tuple of Plane
        In the file's order.
    """

    format: str
    dtype: str
    bits: int
    colour: bool
    planes: tuple[Plane, ...]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of an image beside its pixels.

    Attributes
    ----------
    format, dtype, bits, colour
        As of `OpenImage`.
    planes : int
        How many the file holds.
    position : Position
        Which of them this is.
    projected : bool
        Whether it is the maximum of all planes of its focus series; then `position.z` says nothing.
    metadata : Metadata
    """

    format: str
    dtype: str
    bits: int
    colour: bool
    planes: int = 1
    position: Position = Position()
    projected: bool = False
    metadata: Metadata = Metadata()

    def to_json(self) -> dict[str, Any]:
        """Tell what there is to tell, as a JSON object.

        Returns
        -------
        dict
            ``format``, ``dtype``, ``bits``, ``colour``; ``planes`` and ``plane`` if the file holds several;
            ``facts`` if it tells how they were taken.
        """
        told: dict[str, Any] = {
            "format": self.format,
            "dtype": self.dtype,
            "bits": self.bits,
            "colour": self.colour,
        }
        if self.planes > 1:
            plane: dict[str, Any] = asdict(self.position)
            if self.projected:
                plane["z"] = "max"
            told |= {"planes": self.planes, "plane": plane}
        known = {name: value for name, value in asdict(self.metadata).items() if value}
        return {**told, **({"facts": known} if known else {})}


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """The plane that speaks for an image file.

    Attributes
    ----------
    pixels : (M, N) array of a real dtype
        Grey levels, as `Plane.decode` gives them.
    facts : Facts
    """

    pixels: Pixels
    facts: Facts

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels (M, N)."""
        height, width = self.pixels.shape
        return height, width


def declared_bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Tell how much memory pixels need by their header.

    Parameters
    ----------
    shape : tuple of int
        Channels included.
    dtype : numpy.dtype

    Raises
    ------
    UnreadableImageError
        A side is zero.
    """
    needed_bytes = dtype.itemsize
    for side in shape:
        # Python's integers: a hostile header overflows numpy's.
        needed_bytes *= int(side)
    if needed_bytes <= 0:
        raise UnreadableImageError("its header declares an image without pixels")
    return needed_bytes


def check_count(planes: int, *, most: int = MAX_PLANES) -> None:
    """Refuse a file that declares more planes than can be listed.

    Parameters
    ----------
    planes : int
    most : int
        Fewer where listing a plane takes more memory.

    Raises
    ------
    UnreadableImageError
        There are too many, or none.
    """
    if planes <= 0:
        raise UnreadableImageError("it holds no planes; was it still being written?")
    if planes > most:
        raise UnreadableImageError(
            f"its header declares {planes} planes, more than {most} are not looked through; split it"
        )


def check_size(decoded_bytes: int, *, stored_bytes: int, max_bytes: int) -> None:
    """Refuse what is too large, or declared to be huge by a few bytes, before any of it is decoded.

    Parameters
    ----------
    decoded_bytes, stored_bytes : int
        Of one plane or picture.
    max_bytes : int

    Raises
    ------
    ImageTooLargeError
    ImageBombError
    """
    if decoded_bytes > max_bytes:
        raise ImageTooLargeError(decoded_bytes, max_bytes)
    if decoded_bytes > _BOMB_BYTES and decoded_bytes > _BOMB_RATIO * stored_bytes:
        raise ImageBombError(decoded_bytes, stored_bytes)
