"""What the science says about pixels: numbers extracted from one plane of an image."""

from __future__ import annotations

from dataclasses import dataclass

from haste_core.features.pixels import Pixels
from haste_core.features.plls import plls
from haste_core.features.signal import is_empty, signal_fraction
from haste_core.features.undefined import UndefinedFeatureError

__all__ = [
    "Features",
    "Pixels",
    "UndefinedFeatureError",
    "is_empty",
    "measure",
    "plls",
    "signal_fraction",
]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a focus score may be made from.

    Attributes
    ----------
    plls : float or None
        Power log-log slope: about -3 (strongly blurred) to 0 (sharp), near +1 for noise. None where
        it is undefined.
    signal_fraction : float
        Share of the field with signal, in [0, 1]. 0 where it cannot be measured.
    empty : bool
        The field shows nothing that a score could describe: `signal_fraction` is 0.
    undefined : str or None
        Why `plls` has no value, in a microscopist's words; None where it has one.
    """

    plls: float | None
    signal_fraction: float
    empty: bool
    undefined: str | None


def measure(image: Pixels) -> Features:
    """Measure all features of one plane; what is undefined becomes a reason, not an error.

    Parameters
    ----------
    image : (M, N) array of a real dtype
        Grey levels, linear in intensity, in any unit.

    Returns
    -------
    Features

    Raises
    ------
    ValueError
        `image` is not a two-dimensional array of real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> measure(np.zeros((64, 64))).plls is None
    True
    """
    try:
        slope = plls(image)
        signal = signal_fraction(image)
    except UndefinedFeatureError as reason:
        return Features(plls=None, signal_fraction=0.0, empty=True, undefined=str(reason))
    return Features(plls=slope, signal_fraction=signal, empty=signal == 0, undefined=None)
