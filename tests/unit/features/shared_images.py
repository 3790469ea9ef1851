"""The real microscope images with their reference PLLS, read independently of the project."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray


def reference_images(shared_dir: Path) -> Iterator[tuple[dict[str, str], NDArray[Any], float]]:
    """Yield each image's row of the index, its grey levels, and its reference PLLS."""
    folder = shared_dir / "data" / "images"
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        path = folder / row["file"]
        if path.suffix.lower() == ".tif":
            pixels = tifffile.imread(path)
        else:
            with PIL.Image.open(path) as picture:
                pixels = np.asarray(picture)
        if pixels.ndim == 3:
            pixels = pixels[..., :3] @ np.array([0.2125, 0.7154, 0.0721])
        yield row, pixels, float(row["plls_reference_f64"])
