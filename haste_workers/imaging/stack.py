"""Focus of a stack: that of its sharpest plane."""

from __future__ import annotations

from haste_core.features import Features, measure
from haste_workers.imaging.image import Image


def sharpest(image: Image) -> tuple[int, Features]:
    """Find the plane that speaks for an image: the one in best focus of those with signal.

    A stack through a specimen is as good as its best plane. Planes without signal stand back, since
    noise has a higher slope than any specimen; so do planes whose slope is undefined.

    Parameters
    ----------
    image : Image

    Returns
    -------
    plane : int
        Index into ``image.planes``; the first of equals.
    features : Features
        Of that plane.
    """
    measured = [measure(plane) for plane in image.planes]
    plane = max(range(len(measured)), key=lambda index: _standing(measured[index]))
    return plane, measured[plane]


def _standing(features: Features) -> tuple[bool, bool, float]:
    slope = features.plls
    return slope is not None, not features.empty, slope if slope is not None else 0.0
