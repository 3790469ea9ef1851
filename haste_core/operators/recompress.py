"""The operator that changes no pixel: the file is only written with a better codec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from haste_core.operators.operator import Pixels


@dataclass(frozen=True)
class Recompress:
    """Keep every pixel; what gets smaller is the file, by the work of its codec."""

    name: ClassVar[str] = "recompress"
    lossless: ClassVar[bool] = True

    @property
    def parameters(self) -> Mapping[str, Any]:
        """None: there is nothing to choose."""
        return {}

    @property
    def description(self) -> str:
        """Name of the operator."""
        return self.name

    def apply(self, image: Pixels) -> Pixels:
        """Return the image itself.

        Parameters
        ----------
        image : (M, N) array

        Returns
        -------
        (M, N) array
        """
        return image
