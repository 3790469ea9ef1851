"""A plate that lies askew under its microscope: which wells are in focus depends on where they are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tifffile

from haste_apps.simulate import CELLS_SIZE_PX, cell_field

ROWS, COLUMNS, SITES = "ABCDEFGH", 12, 4

_FOCUS_ROW, _FOCUS_COLUMN = 2.6, 3.4
"""The autofocus was set between these wells, counted from 0."""

_TILT_UM = (0.62, 0.48)
"""Defocus from one row, and from one column, to the next."""

_SCATTER_UM = 0.45
_WITHOUT_CELLS = {"G10", "H10", "H11", "H12"}


@dataclass(frozen=True)
class Field:
    """One image of the plate; `defocus_um` is None where there are no cells."""

    name: str
    number: int
    defocus_um: float | None


def fields(plate: str, *, seed: int) -> Iterator[Field]:
    """Plan the images, well after well, named as MetaXpress does."""
    rng = np.random.default_rng(seed)
    number = 0
    for row, letter in enumerate(ROWS):
        for column in range(COLUMNS):
            well = f"{letter}{column + 1:02}"
            tilt_um = _TILT_UM[0] * (row - _FOCUS_ROW) + _TILT_UM[1] * (column - _FOCUS_COLUMN)
            for site in range(1, SITES + 1):
                defocus_um = tilt_um + _SCATTER_UM * rng.standard_normal()
                name = f"{plate}_{well}_s{site}_w1.TIF"
                yield Field(name, number, None if well in _WITHOUT_CELLS else defocus_um)
                number += 1


def write_plate(folder: Path, planned: list[Field], *, processes: int) -> None:
    """Write the images into a folder."""
    # Forked while threads of a numerical library run, a child may hang.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(_write, planned, [folder] * len(planned), chunksize=8))


def _write(field: Field, folder: Path) -> None:
    pixels = cell_field(np.random.default_rng([7, field.number]), CELLS_SIZE_PX, defocus_um=field.defocus_um)
    tifffile.imwrite(folder / field.name, pixels, photometric="minisblack")
