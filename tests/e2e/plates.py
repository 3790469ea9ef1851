"""Images as a microscope writes them."""

from pathlib import Path

import numpy as np
import tifffile


def write_image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    smooth = generator.normal(1000, 300, (16, 16)).repeat(8, axis=0).repeat(8, axis=1)
    tifffile.imwrite(path, (smooth + generator.normal(0, 20, smooth.shape)).clip(0, 65535).astype("u2"))
