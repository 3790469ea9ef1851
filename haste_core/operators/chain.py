"""Several operators, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from haste_core.operators.operator import Operator, Pixels


@dataclass(frozen=True)
class Chain:
    """Operators in the order in which they work; it is lossy if one of them is.

    Attributes
    ----------
    operators : tuple of Operator
        At least one.
    """

    operators: tuple[Operator, ...]

    @property
    def name(self) -> str:
        """The operators' names, for example ``"floodfill+recompress"``."""
        return "+".join(operator.name for operator in self.operators)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The steps, as a pipeline names them."""
        return {
            "operators": [{"operator": step.name, **step.parameters} for step in self.operators],
        }

    @property
    def lossless(self) -> bool:
        """Whether every pixel keeps its value in all steps."""
        return all(operator.lossless for operator in self.operators)

    @property
    def description(self) -> str:
        """The steps that change pixels, in one line; all of them if none does.

        What a lossless step does is no part of a feature's identity: with or without one, a flood fill's
        pixels are the same.
        """
        lossy = [operator.description for operator in self.operators if not operator.lossless]
        return " + ".join(lossy or [operator.description for operator in self.operators])

    def apply(self, image: Pixels) -> Pixels:
        """Return the image after all operators.

        Parameters
        ----------
        image : (M, N) array

        Returns
        -------
        (M, N) array
            Of the same dtype.
        """
        for operator in self.operators:
            image = operator.apply(image)
        return image
