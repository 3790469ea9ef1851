"""Image quality: the features that a pipeline may ask for beside those of the focus score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from haste_core.features.defects import hot_pixels
from haste_core.features.focus import correlation, focus_score, local_focus_score
from haste_core.features.intensity import (
    Intensity,
    background_fraction,
    intensity,
    otsu_threshold,
    percent_maximal,
    percent_minimal,
    saturated_fraction,
)
from haste_core.features.lifts import Lifts, lifts
from haste_core.features.pixels import Pixels
from haste_core.features.signal import snr
from haste_core.features.undefined import UndefinedFeatureError


@dataclass(frozen=True, kw_only=True)
class QualityOptions:
    """What some features need to know.

    Attributes
    ----------
    scale : int
        In pixels: about the size of an object.
    bits : int
        Of the detector's converter.
    """

    scale: int = 20
    bits: int = 16


_INTENSITIES: Mapping[str, Callable[[Intensity], float]] = {
    "total_intensity": lambda spread: spread.total,
    "mean_intensity": lambda spread: spread.mean,
    "median_intensity": lambda spread: spread.median,
    "std_intensity": lambda spread: spread.std,
    "mad_intensity": lambda spread: spread.mad,
    "min_intensity": lambda spread: spread.minimum,
    "max_intensity": lambda spread: spread.maximum,
}

_LIFTS: Mapping[str, Callable[[Lifts], float]] = {
    "noise_lift": lambda found: found.noise,
    "speck_lift": lambda found: found.specks,
}

_SEVERAL_NUMBERS: Mapping[str, tuple[Callable[[Pixels], Any], Mapping[str, Callable[[Any], float]]]] = {
    "intensity": (intensity, _INTENSITIES),
    "lifts": (lifts, _LIFTS),
}

_ONE_NUMBER: Mapping[str, Callable[[Pixels, QualityOptions], float]] = {
    "snr": lambda image, _: snr(image),
    "hot_pixels": lambda image, _: hot_pixels(image),
    "focus_score": lambda image, _: focus_score(image),
    "local_focus_score": lambda image, options: local_focus_score(image, scale=options.scale),
    "correlation": lambda image, options: correlation(image, scale=options.scale),
    "percent_maximal": lambda image, _: percent_maximal(image),
    "percent_minimal": lambda image, _: percent_minimal(image),
    "saturated_fraction": lambda image, options: saturated_fraction(image, bits=options.bits),
    "otsu_threshold": lambda image, _: otsu_threshold(image),
    "background_fraction": lambda image, _: background_fraction(image),
}

QUALITY_FEATURES = (*_ONE_NUMBER, *_SEVERAL_NUMBERS)
"""The names to ask for; `intensity` gives seven numbers, `lifts` gives `noise_lift` and `speck_lift`."""

FEATURE_OF_NUMBER: Mapping[str, str] = {
    **{name: name for name in _ONE_NUMBER},
    **{number: name for name, (_, numbers) in _SEVERAL_NUMBERS.items() for number in numbers},
}
"""Which feature to ask for to get a number."""


def measure_quality(
    image: Pixels, wanted: Iterable[str], options: QualityOptions
) -> tuple[dict[str, float], dict[str, str]]:
    """Measure some features of one plane; what is undefined becomes a reason, not an error.

    Parameters
    ----------
    image : (M, N) array of a real dtype
    wanted : iterable of str
        Of `QUALITY_FEATURES`.
    options : QualityOptions

    Returns
    -------
    values : dict
        Numbers by name.
    undefined : dict
        Why a wanted feature has no value, by its name.

    Raises
    ------
    ValueError
        `image` is not two-dimensional, or an option out of range.

    Examples
    --------
    >>> import numpy as np
    >>> measure_quality(np.eye(4), ["percent_maximal"], QualityOptions())
    ({'percent_maximal': 25.0}, {})
    """
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for name in wanted:
        try:
            if name in _SEVERAL_NUMBERS:
                measure, numbers = _SEVERAL_NUMBERS[name]
                found = measure(image)
                values |= {number: of(found) for number, of in numbers.items()}
            else:
                values[name] = _ONE_NUMBER[name](image, options)
        except UndefinedFeatureError as reason:
            undefined[name] = str(reason)
    return values, undefined
