"""Lengths in the units that microscopes write, and in micrometres."""

from __future__ import annotations

import math

_MICROMETRES = {
    "pm": 1e-6,
    "å": 1e-4,
    "a": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "inch": 25_400.0,
    "picometer": 1e-6,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}


def in_micrometres(value: str | float | None, unit: str) -> float | None:
    """Convert a length.

    Parameters
    ----------
    value : str or float, optional
    unit : str
        In any case, for example ``"nm"``, ``"µm"``, ``"Å"``, ``"micron"``.

    Returns
    -------
    float or None
        None if there is no value, or it is no finite number, or the unit is no length (as OME's
        ``"reference frame"``).
    """
    factor = _MICROMETRES.get(unit.strip().casefold())
    if value is None or factor is None:
        return None
    try:
        length = float(value) * factor
    except ValueError:
        return None
    return length if math.isfinite(length) else None


def pixel_size(height: float | None, width: float | None) -> tuple[float, float] | None:
    """Put the sides of a pixel together.

    Parameters
    ----------
    height, width : float, optional
        In micrometres.

    Returns
    -------
    (float, float) or None
        None unless both are known and positive.
    """
    return (height, width) if height and width and min(height, width) > 0 else None


def stage_position(x: float | None, y: float | None, z: float | None = None) -> tuple[float, ...] | None:
    """Put the coordinates of the stage together.

    Parameters
    ----------
    x, y, z : float, optional
        In micrometres.

    Returns
    -------
    tuple of float or None
        Two or three coordinates. None unless x and y are known.
    """
    if x is None or y is None:
        return None
    return (x, y) if z is None else (x, y, z)
