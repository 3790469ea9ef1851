"""An image as read from a file, and the two ways in which a file can fail to be one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from haste_core.errors import BadInputError

Planes: TypeAlias = NDArray[Any]
"""Grey levels of a stack: (P, M, N) of a real dtype."""

MAX_BYTES = 2_000_000_000
"""Decoded size up to which an image is read: a stack of 200 planes of a 5-megapixel camera."""


class UnreadableImageError(BadInputError):
    """The file is no image, is damaged, or is not complete; reading it again cannot help."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not a readable image: {reason}")


class ImageTooLargeError(BadInputError):
    """The image would need more memory than a worker gives to one image."""

    def __init__(self, needed_bytes: int, max_bytes: int) -> None:
        super().__init__(
            f"the image takes {needed_bytes / 1e9:.1f} GB when decoded, the limit is "
            f"{max_bytes / 1e9:.1f} GB; split it into tiles or planes, or raise the limit"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """The pixels of an image file, as grey levels.

    Attributes
    ----------
    planes : (P, M, N) array of a real dtype
        All planes of a stack, in the file's order; a plain image has one. Greyscale keeps its dtype
        and its grey levels. Colour is luminance: in [0, 1], float32 for 8- and 16-bit channels.
    format : str
        ``"TIFF"``, ``"PNG"`` or ``"JPEG"``, by the file's content.
    dtype : str
        Of a channel as stored, for example ``"uint16"``.
    bits : int
        Stored bits of a channel.
    colour : bool
        Whether the file holds colour.
    """

    planes: Planes
    format: str
    dtype: str
    bits: int
    colour: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a plane in pixels (M, N)."""
        _, height, width = self.planes.shape
        return height, width


def check_size(shape: tuple[int, ...], dtype: np.dtype[Any], *, max_bytes: int) -> None:
    """Refuse an image by what its header declares, before any of it is decoded.

    Parameters
    ----------
    shape : tuple of int
        Of the whole image, planes and channels included.
    dtype : numpy.dtype
    max_bytes : int

    Raises
    ------
    UnreadableImageError
        A side is zero.
    ImageTooLargeError
        The decoded image exceeds `max_bytes`.
    """
    needed_bytes = dtype.itemsize
    for side in shape:
        # Python's integers: a hostile header overflows numpy's.
        needed_bytes *= int(side)
    if needed_bytes <= 0:
        raise UnreadableImageError("its header declares an image without pixels")
    if needed_bytes > max_bytes:
        raise ImageTooLargeError(needed_bytes, max_bytes)
