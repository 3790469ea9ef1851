"""A simulated microscope: fields whose truth is known, written as labs write theirs."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import imagecodecs
import numpy as np
import scipy.fft
import tifffile
from numpy.typing import NDArray
from scipy.special import j1

Kind: TypeAlias = Literal["cells", "tem", "empty-mix"]
Reals: TypeAlias = NDArray[np.floating[Any]]

CELLS_SIZE_PX, TEM_SIZE_PX = (512, 512), (1600, 2000)
"""Height and width that are written unless others are asked for."""

MAX_DEFOCUS_UM = 7.0
"""What an autofocus misses by on a bad plate; three times the depth of field of this objective."""

TRUTH_NAME = "truth.csv"

_PIXEL_UM, _WAVELENGTH_UM, _APERTURE = 0.65, 0.46, 0.45
"""A x10 objective of NA 0.45 in air, a camera of 6.5 um pixels, DAPI."""

_CELL_DEPTH_UM = 4.0
"""Nuclei are thicker than the depth of field: three slices of them are blurred differently."""

_NUCLEUS_UM = (4.0, 6.5)
"""Range of a nucleus' half axes."""

_GRAIN_PX = 3
"""Side of a patch of chromatin, 2 um."""

_CELL_AREA_UM2 = 1800.0
"""Ground that one cell has for itself in a half confluent layer."""

_SIGNAL_E, _BACKGROUND_E, _READ_NOISE_E, _OFFSET = 1500.0, 60.0, 1.6, 100.0
"""Electrons of a bright nucleus and of the medium, noise of an sCMOS camera, its offset in grey
levels. One electron is one grey level."""

_VIGNETTING = 0.1
"""Fall of the light from the middle to the corners."""

_EMPTY_SHARE = 1 / 6

_TISSUE = ((150, 16), (40, 12), (9, 10), (3, 5))
"""Size in pixels and contrast in grey levels of what tissue shows: cells to membranes."""

_TEM_E_PER_LEVEL = 2.5
"""Electrons a grey level, which sets the noise."""

_BAR_LEVEL, _BAR_EDGE_PX = 10, 6
"""Grey level of a bar of the grid, and the width of its blurred edge."""

_MESH_PER_HEIGHT, _BAR_SHARE, _MESHES_SWEPT = 1.8, 0.05, 4.3
"""Mesh of the grid in heights of the field, bars in meshes, and meshes that a sweep passes."""

_WELL_ROWS, _WELL_COLUMNS, _SITES = "ABCDEFGH", 12, 4

_CHUNKS, _SLOW_WRITE_S = 8, 0.2
"""A file written in place grows in chunks for this long, or half of the time between two images."""


@dataclass(frozen=True, kw_only=True)
class SimulatedImage:
    """One image that was written, and its truth.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    file : str
        The same below the simulation's folder, with ``/``.
    kind : {'cells', 'empty', 'tem'}
        What the field shows.
    defocus_um : float or None
        Signed distance from the focal plane; None where there is nothing in focus or out of it.
    empty : bool
        The field holds noise only.
    """

    path: Path
    file: str
    kind: str
    defocus_um: float | None
    empty: bool


def simulate(
    directory: Path,
    *,
    kind: Kind,
    count: int,
    rate_hz: float,
    seed: int,
    size_px: tuple[int, int] | None = None,
    slow_writes: bool = True,
    on_image: Callable[[SimulatedImage], None] | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> list[SimulatedImage]:
    """Write a run of a microscope into a folder.

    Same arguments, same files. Cells come as 16-bit TIFF, four sites a well (``A01/site1.tif``),
    with defocus spread evenly over -7 to 7 micrometres in random order; TEM images as 8-bit PNG
    in the order of a sweep over the grid (``sweep/tile_0001.png``). The truth stands in
    ``truth.csv``, with the columns file, kind, defocus_um, empty (0 or 1), a line for each file
    that is complete.

    Parameters
    ----------
    directory : pathlib.Path
        Is made if it is not there.
    kind : {'cells', 'tem', 'empty-mix'}
        ``empty-mix`` is cells with one field in six empty.
    count : int
        Images, at least 1.
    rate_hz : float
        Images a second; ``math.inf`` for as fast as they can be made.
    seed : int
    size_px : tuple of int, optional
        Height and width of an image.
    slow_writes : bool
        Write every other file in place and in chunks, as many instruments do, the others under a
        temporary name (``.tmp``) and renamed. False: all under a temporary name.
    on_image : callable, optional
        Called after each image is complete; what it raises ends the run.
    pause : callable
        Waits some seconds for the next image's time; what it raises ends the run, too.

    Returns
    -------
    list of SimulatedImage
        In the order of writing.

    Raises
    ------
    ValueError
        An argument is out of its range.
    """
    _check(kind, count, rate_hz)
    directory.mkdir(parents=True, exist_ok=True)
    written: list[SimulatedImage] = []
    started = time.monotonic()
    with (directory / TRUTH_NAME).open("w", newline="", encoding="utf-8") as file:
        truth = csv.writer(file)
        truth.writerow(["file", "kind", "defocus_um", "empty"])
        for number, image in enumerate(_plan(directory, kind, count, seed)):
            content = _content(image, number, seed, size_px, progress=number / count)
            pause(max(0.0, started + number / rate_hz - time.monotonic()))
            in_place = slow_writes and number % 2 == 0
            _write(image.path, content, slow_s=min(_SLOW_WRITE_S, 0.5 / rate_hz) if in_place else None)
            defocus = "" if image.defocus_um is None else f"{image.defocus_um:.3f}"
            truth.writerow([image.file, image.kind, defocus, int(image.empty)])
            file.flush()
            written.append(image)
            if on_image is not None:
                on_image(image)
    return written


def _check(kind: str, count: int, rate_hz: float) -> None:
    if kind not in get_args(Kind):
        raise ValueError(f"the kind is one of {', '.join(get_args(Kind))}, not {kind!r}")
    if count < 1:
        raise ValueError(f"the count is at least 1, not {count}")
    if not rate_hz > 0:
        raise ValueError(f"the rate is above 0 Hz, not {rate_hz}")


def _plan(directory: Path, kind: Kind, count: int, seed: int) -> Iterator[SimulatedImage]:
    """Say which file shows what."""
    rng = np.random.default_rng(seed)
    if kind == "tem":
        for number in range(count):
            yield _planned(directory, f"sweep/tile_{number + 1:04d}.png", "tem", None)
        return
    empties = max(1, round(count * _EMPTY_SHARE)) if kind == "empty-mix" else 0
    fields = count - empties
    # The middles of equal steps, so that a short run also has all degrees of defocus.
    defocus_um = [MAX_DEFOCUS_UM * (2 * (step + 0.5) / fields - 1) for step in range(fields)]
    shown: list[float | None] = [*defocus_um, *[None] * empties]
    for number, place in enumerate(rng.permutation(count)):
        file = f"{_site(number, count)}.tif"
        defocus = shown[place]
        yield _planned(directory, file, "empty" if defocus is None else "cells", defocus)


def _planned(directory: Path, file: str, kind: str, defocus_um: float | None) -> SimulatedImage:
    return SimulatedImage(
        path=directory / file, file=file, kind=kind, defocus_um=defocus_um, empty=kind == "empty"
    )


def _site(number: int, count: int) -> str:
    """Name well and site as a plate reader does, with more sites if a plate is not enough."""
    wells = len(_WELL_ROWS) * _WELL_COLUMNS
    sites = max(_SITES, math.ceil(count / wells))
    well, site = divmod(number, sites)
    row, column = divmod(well, _WELL_COLUMNS)
    return f"{_WELL_ROWS[row]}{column + 1:02d}/site{site + 1}"


def _content(
    image: SimulatedImage, number: int, seed: int, size_px: tuple[int, int] | None, progress: float
) -> bytes:
    """Render an image as a file; its own stream of random numbers makes it independent of others."""
    rng = np.random.default_rng([seed, number])
    if image.kind == "tem":
        pixels = tem_tile(rng, size_px or TEM_SIZE_PX, progress=progress)
        return bytes(imagecodecs.png_encode(pixels, level=6))
    field = cell_field(rng, size_px or CELLS_SIZE_PX, defocus_um=image.defocus_um)
    file = io.BytesIO()
    per_cm = 1e4 / _PIXEL_UM
    tifffile.imwrite(
        file,
        field,
        photometric="minisblack",
        description=f"simulated {image.kind}",
        software="HASTE simulated microscope",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    return file.getvalue()


def _write(path: Path, content: bytes, *, slow_s: float | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if slow_s is None:
        partial = path.with_name(path.name + ".tmp")
        partial.write_bytes(content)
        partial.replace(path)
        return
    step = math.ceil(len(content) / _CHUNKS)
    with path.open("wb") as file:
        for start in range(0, len(content), step):
            file.write(content[start : start + step])
            file.flush()
            time.sleep(slow_s / _CHUNKS)


def cell_field(
    rng: np.random.Generator, size_px: tuple[int, int], *, defocus_um: float | None
) -> NDArray[np.uint16]:
    """Render stained nuclei at a distance from the focal plane, as an sCMOS camera sees them.

    Parameters
    ----------
    rng : numpy.random.Generator
    size_px : tuple of int
        Height and width (M, N).
    defocus_um : float or None
        Signed distance from the focal plane; None for a field without cells.

    Returns
    -------
    (M, N) array of uint16
        Grey levels, the camera's offset included.
    """
    light = np.full(size_px, _BACKGROUND_E, np.float32)
    if defocus_um is not None:
        light += np.maximum(_blurred(_nuclei(rng, size_px), defocus_um), 0)
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) ** 2 / 2 for n in size_px)
    light *= 1 - _VIGNETTING * (y[:, None] + x)
    # Above 50 electrons, and here it is 54 at least, a normal number stands for a Poisson one; it
    # is five times as fast, and the read noise is in the same draw.
    noise = rng.standard_normal(size_px, np.float32) * np.sqrt(light + _READ_NOISE_E**2)
    levels = np.clip(np.rint(light + noise + _OFFSET), 0, 65535)
    return np.asarray(levels, np.uint16)


def _nuclei(rng: np.random.Generator, size_px: tuple[int, int]) -> Reals:
    """Draw ellipses with grains of chromatin, in electrons."""
    field = np.zeros(size_px, np.float32)
    height, width = size_px
    reach = math.ceil(_NUCLEUS_UM[1] / _PIXEL_UM) + 1
    grid = np.arange(-reach, reach + 1, dtype=np.float32)
    for _ in range(max(1, round(height * width * _PIXEL_UM**2 / _CELL_AREA_UM2))):
        top, left = int(rng.integers(-reach, height)), int(rng.integers(-reach, width))
        major, minor = rng.uniform(*_NUCLEUS_UM, 2) / _PIXEL_UM
        angle = rng.uniform(0, math.pi)
        along = grid[:, None] * math.sin(angle) + grid * math.cos(angle)
        across = grid[:, None] * math.cos(angle) - grid * math.sin(angle)
        inside = (along / major) ** 2 + (across / minor) ** 2 < 1
        grains = rng.uniform(0.1, 1, (grid.size // _GRAIN_PX + 1,) * 2).astype(np.float32)
        chromatin = grains.repeat(_GRAIN_PX, axis=0).repeat(_GRAIN_PX, axis=1)[: grid.size, : grid.size]
        nucleus = inside * chromatin * (_SIGNAL_E * rng.uniform(0.6, 1))
        window = field[max(top, 0) : top + grid.size, max(left, 0) : left + grid.size]
        window += nucleus[max(-top, 0) :, max(-left, 0) :][: window.shape[0], : window.shape[1]]
    return field


def _blurred(field: Reals, defocus_um: float) -> Reals:
    """Blur by diffraction and defocus: a Gaussian and the disk of geometrical optics.

    The disk of confusion has the radius z tan(asin NA). Its transfer function, 2 J1(q) / q with
    q = 2 pi radius frequency, is averaged over the depth of a cell.
    """
    height, width = field.shape
    radial = np.linspace(0, 0.75, 512)
    sigma_px = 0.21 * _WAVELENGTH_UM / _APERTURE / _PIXEL_UM
    spread = math.tan(math.asin(_APERTURE)) / _PIXEL_UM
    transfer = np.zeros_like(radial)
    for slice_um in (-_CELL_DEPTH_UM / 2, 0, _CELL_DEPTH_UM / 2):
        q = 2 * np.pi * radial * max(abs(defocus_um + slice_um) * spread, 1e-3)
        q[0] = 1e-6
        transfer += 2 * j1(q) / q / 3
    transfer *= np.exp(-2 * (np.pi * sigma_px * radial) ** 2)
    rows, columns = scipy.fft.fftfreq(height), scipy.fft.rfftfreq(width)
    frequency = np.hypot(rows[:, None], columns)
    spectrum = scipy.fft.rfft2(field) * np.interp(frequency, radial, transfer).astype(np.float32)
    blurred: Reals = scipy.fft.irfft2(spectrum, s=field.shape)
    return blurred


def tem_tile(rng: np.random.Generator, size_px: tuple[int, int], *, progress: float) -> NDArray[np.uint8]:
    """Render tissue on a honeycomb grid, as a transmission electron microscope sees it.

    Parameters
    ----------
    rng : numpy.random.Generator
    size_px : tuple of int
        Height and width (M, N).
    progress : float
        In [0, 1): how far the sweep over the grid has come. Over one mesh after the other, bars of
        the grid come into the field and leave it.

    Returns
    -------
    (M, N) array of uint8
        Grey levels; the bars lie below 30.
    """
    tissue = np.full(size_px, 130, np.float32)
    for grain_px, contrast in _TISSUE:
        tissue += contrast * _cloud(rng, size_px, grain_px)
    bars = np.clip(_bar_depth(size_px, progress) / _BAR_EDGE_PX, 0, 1)
    light = tissue * (1 - bars) + _BAR_LEVEL * bars
    noise = rng.standard_normal(size_px, np.float32) * np.sqrt(light / _TEM_E_PER_LEVEL)
    return np.asarray(np.clip(light + noise, 0, 255), np.uint8)


def _cloud(rng: np.random.Generator, size_px: tuple[int, int], grain_px: int) -> Reals:
    """Return smooth random structure of one size, of standard deviation near 1."""
    nodes = rng.standard_normal([n // grain_px + 2 for n in size_px], np.float32)
    for axis, n in enumerate(size_px):
        place = np.arange(n, dtype=np.float32) / grain_px
        before = place.astype(np.intp)
        share = np.mod(place, 1).reshape([-1, 1] if axis == 0 else [1, -1])
        nodes = nodes.take(before, axis) * (1 - share) + nodes.take(before + 1, axis) * share
    return nodes


def _bar_depth(size_px: tuple[int, int], progress: float) -> Reals:
    """Return how deep in a bar each pixel lies, in pixels; outside bars it is below 0."""
    mesh = _MESH_PER_HEIGHT * size_px[0]
    y, x = (np.arange(n, dtype=np.float32)[:, None] for n in size_px)
    # The sweep is not quite along the grid, so that no two meshes look the same.
    x, y = x.T + mesh * _MESHES_SWEPT * progress, y + mesh * progress
    # Hexagons stand in two rectangular lattices, one half a cell away from the other; a pixel's
    # hexagon is the one whose border is farther away.
    cell_x, cell_y = mesh, mesh * math.sqrt(3)
    from_centre = [_hexagonal(x + k * cell_x / 2, y + k * cell_y / 2, cell_x, cell_y) for k in (0, 1)]
    nearest: Reals = np.minimum(*from_centre)
    return nearest - mesh * (1 - _BAR_SHARE) / 2


def _hexagonal(x: Reals, y: Reals, cell_x: float, cell_y: float) -> Reals:
    """Return distances from cell centres, along the nearest of a hexagon's three normals."""
    right = np.abs((x + cell_x / 2) % cell_x - cell_x / 2)
    up = np.abs((y + cell_y / 2) % cell_y - cell_y / 2)
    along: Reals = np.maximum(right, right / 2 + up * (math.sqrt(3) / 2))
    return along
