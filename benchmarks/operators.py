"""What preprocessing costs and gains on images of 2000 x 1600 pixels of a simulated electron microscope.

Times are CPU times of one thread. ``png_ms`` and ``jxl_ms`` are reading the PNG that Pillow wrote at level 7,
flood fill, and encoding; ``png_task_ms`` and ``jxl_task_ms`` are the same with the new file written, read
back and compared, as the task does it. ``png_ratio`` and ``jxl_ratio`` are bytes as a share of what Pillow
makes of the same flood-filled pixels at level 7. ``soft`` are the same images blurred as by a thick
scintillator, ``quiet`` of a quarter of their contrast as well: as PNG they take what those of the MiniTEM
trace do, 0.47 MB. ``small`` is more effort. Times are medians over the images and the rounds, ratios over the
images.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.system import print_figures, say, work_folder
from haste_apps.simulate import tem_tile
from haste_core.operators import Floodfill, floodfill
from haste_workers.imaging.encode import write_smaller
from haste_workers.imaging.packing import Codec, Effort, Packing
from haste_workers.imaging.png_rewriting import encoded_png
from haste_workers.operators import applied

SIZE_PX = (1600, 2000)
TILES, ROUNDS = 6, 5
SOFT_PX = 2.0
"""Standard deviation of the blur."""

QUIET_CONTRAST, BLACK = 0.25, 15

PEER_LEVEL = 7
MAX_BYTES = 10**9
OPERATOR = Floodfill()

Tile = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """A PNG of the microscope's, and what its flood-filled pixels take at Pillow's level 7."""

    path: Path
    peer_bytes: int


def tiles(size_px: tuple[int, int], count: int) -> list[Tile]:
    """Simulate a sweep over the grid."""
    return [tem_tile(np.random.default_rng([6, k]), size_px, progress=k / count) for k in range(count)]


def quiet(tile: Tile) -> Tile:
    """Blur a tile and take most of its contrast away, in between without rounding."""
    blurred = ndimage.gaussian_filter(tile.astype(np.float32), SOFT_PX)
    return np.rint(BLACK + QUIET_CONTRAST * (blurred - BLACK)).astype(np.uint8)


def pillows(tile: Tile) -> bytes:
    """Write a PNG by Pillow."""
    file = io.BytesIO()
    PIL.Image.fromarray(tile).save(file, "PNG", compress_level=PEER_LEVEL)
    return file.getvalue()


def stored(images: list[Tile], folder: Path) -> list[Source]:
    """Write the images as the microscope does."""
    folder.mkdir()
    sources = []
    for number, tile in enumerate(images):
        path = folder / f"tile_{number}.png"
        path.write_bytes(pillows(tile))
        sources.append(Source(path, len(pillows(OPERATOR.apply(tile)))))
    return sources


def cpu_ms(work: Callable[[], object]) -> float:
    """Measure the CPU time of one call."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e3


def encoded(source: Source, packing: Packing) -> bytes:
    """Read, flood-fill and encode."""
    change = partial(applied, OPERATOR)
    return encoded_png(source.path.read_bytes(), packing, max_bytes=MAX_BYTES, change=change)[0]


def plain_floodfill(image: Tile, threshold: int) -> Tile:
    """Walk from every dark pixel of the border to its dark neighbours."""
    height, width = image.shape
    filled = image.copy()
    edges = [(i, j) for i in range(height) for j in (0, width - 1)]
    edges += [(i, j) for i in (0, height - 1) for j in range(width)]
    waiting = deque(place for place in edges if image[place] < threshold)
    seen = set(waiting)
    while waiting:
        i, j = waiting.popleft()
        filled[i, j] = 0
        for place in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            inside = 0 <= place[0] < height and 0 <= place[1] < width
            if inside and place not in seen and image[place] < threshold:
                seen.add(place)
                waiting.append(place)
    return filled


def codec_figures(
    sources: list[Source], codec: Codec, effort: Effort, rounds: int
) -> Iterator[tuple[str, float]]:
    """Measure one codec: time, share of the peer's bytes, and the time of the whole task."""
    packing = Packing(codec, effort)
    ratios = [len(encoded(source, packing)) / source.peer_bytes for source in sources]
    out = sources[0].path.parent / "smaller"
    out.mkdir(exist_ok=True)
    name = {"deflate": "png"}.get(codec, codec)
    timed: dict[str, Callable[[Source], object]] = {
        f"{name}_ms": lambda source: encoded(source, packing),
        f"{name}_task_ms": lambda source: write_smaller(source.path, out, OPERATOR, packing),
    }
    for figure, work in timed.items():
        took = [cpu_ms(partial(work, source)) for _ in range(rounds) for source in sources]
        yield figure, statistics.median(took)
    yield f"{name}_ratio", statistics.median(ratios)
    say(f"{name}, {effort}: ratios {min(ratios):.3f} to {max(ratios):.3f}")


def measure(size_px: tuple[int, int], count: int, rounds: int) -> dict[str, float]:
    """Measure all."""
    images = tiles(size_px, count)
    figures = {}
    with work_folder() as folder:
        soft = [ndimage.gaussian_filter(tile, SOFT_PX) for tile in images]
        kinds = {"": images, "soft_": soft, "quiet_": [quiet(tile) for tile in images]}
        for kind, pictures in kinds.items():
            sources = stored(pictures, folder / f"{kind}tiles")
            raw_bytes = [source.path.stat().st_size for source in sources]
            figures[f"{kind}source_kb"] = statistics.mean(raw_bytes) / 1e3
            filled_bytes = sum(source.peer_bytes for source in sources)
            figures[f"{kind}floodfill_saves"] = 1 - filled_bytes / sum(raw_bytes)
            for codec in ("deflate", "jxl"):
                for name, figure in codec_figures(sources, codec, "fast", rounds):
                    figures[kind + name] = figure
                for name, figure in codec_figures(sources, codec, "small", 1):
                    figures[f"{kind}small_{name}"] = figure
    dark = images[0]
    floodfill_ms = statistics.median(cpu_ms(lambda: floodfill(dark)) for _ in range(3 * rounds))
    plain_ms = cpu_ms(lambda: plain_floodfill(dark, 30))
    if not np.array_equal(floodfill(dark), plain_floodfill(dark, 30)):
        raise RuntimeError("the flood fill differs from the plain one")
    return {**figures, "floodfill_ms": floodfill_ms, "floodfill_speedup": plain_ms / floodfill_ms}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small images: a smoke run")
    quick = parser.parse_args().quick
    print_figures("operators", measure((200, 250), 1, 1) if quick else measure(SIZE_PX, TILES, ROUNDS))


if __name__ == "__main__":
    main()
