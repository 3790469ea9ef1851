"""What every operator says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[Any]
"""A two-dimensional array (M, N) of grey levels."""


class Operator(Protocol):
    """A change to an image's pixels, or to none of them.

    Features of a lossy operator's result never mix with those of original pixels in one
    interestingness function; `description` tells them apart.
    """

    @property
    def name(self) -> str:
        """The name by which a task asks for the operator."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """All parameters, defaults included, as JSON values."""

    @property
    def lossless(self) -> bool:
        """Whether every pixel keeps its value."""

    @property
    def description(self) -> str:
        """Name and parameters in one line: the operator's part in a feature's identity."""

    def apply(self, image: Pixels) -> Pixels:
        """Return the image after the operator; the given array is left as it was.

        Parameters
        ----------
        image : (M, N) array
            Grey levels.

        Returns
        -------
        (M, N) array
            Of the same dtype.
        """
