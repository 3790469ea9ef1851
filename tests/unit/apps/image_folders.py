"""What tests of `haste score`, `calibrate` and `evaluate` share: small fields, and the command itself."""

from pathlib import Path

import numpy as np
import tifffile
from typer.testing import CliRunner, Result

from haste_apps.cli import app
from haste_core.features import measure
from tests.unit.features.fields import levels, noise, spots

SIDE_PX = 96


def haste(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_field(path: Path, *, seed: int, blur_px: float) -> float:
    """Write spots; return their PLLS."""
    field = levels(spots(seed, (SIDE_PX, SIDE_PX), blur_px=blur_px))
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, field)
    slope = measure(field).plls
    assert slope is not None
    return slope


def write_empty(path: Path, *, seed: int) -> None:
    """Write a field without objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, levels(noise(seed, (SIDE_PX, SIDE_PX))))


def write_constant(path: Path) -> None:
    """Write what a camera sees with its shutter closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.full((SIDE_PX, SIDE_PX), 7, np.uint16))
