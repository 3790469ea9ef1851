"""The simulated microscope tells the truth about what it writes, and writes as labs do."""

import csv
import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from haste_apps.simulate import SimulatedImage, cell_field, simulate, tem_tile
from haste_core.features import measure, plls
from haste_core.operators import Floodfill
from haste_workers.imaging.encode import write_smaller
from haste_workers.imaging.read import read_image

SMALL = (256, 256)


def content(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("kind", ["cells", "empty-mix", "tem"])
def test_a_seed_gives_the_same_files(tmp_path: Path, kind: str) -> None:
    for folder, seed in (("one", 7), ("same", 7), ("other", 8)):
        simulate(tmp_path / folder, kind=kind, count=3, rate_hz=math.inf, seed=seed, size_px=(80, 96))
    assert content(tmp_path / "one") == content(tmp_path / "same")
    assert content(tmp_path / "one") != content(tmp_path / "other")


@pytest.mark.parametrize("seed", range(4))
def test_focus_falls_with_defocus(seed: int) -> None:
    slopes = [
        plls(cell_field(np.random.default_rng(seed), (512, 512), defocus_um=defocus_um))
        for defocus_um in (0, 1.5, 3, -4.5, 6, 7)
    ]
    assert all(sharper > softer for sharper, softer in pairwise(slopes))
    assert slopes[0] > -1.1
    assert slopes[-1] < -2.2


def test_empty_fields_are_told_from_cells(tmp_path: Path) -> None:
    written = simulate(
        tmp_path, kind="empty-mix", count=12, rate_hz=math.inf, seed=1, size_px=SMALL, slow_writes=False
    )
    assert sum(image.empty for image in written) == 2
    for image in written:
        assert measure(read_image(image.path).pixels).empty == image.empty


def test_defocus_is_spread_evenly(tmp_path: Path) -> None:
    written = simulate(tmp_path, kind="cells", count=8, rate_hz=math.inf, seed=2, size_px=(64, 64))
    defocus = [image.defocus_um for image in written]
    np.testing.assert_allclose(np.diff(sorted(defocus)), 7 / 4)
    assert defocus != sorted(defocus)


def test_the_truth_stands_beside_the_images(tmp_path: Path) -> None:
    seen: list[SimulatedImage] = []
    written = simulate(
        tmp_path, kind="empty-mix", count=6, rate_hz=math.inf, seed=3, size_px=(64, 64), on_image=seen.append
    )
    assert seen == written
    with (tmp_path / "truth.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, image in zip(rows, written, strict=True):
        assert tmp_path / row["file"] == image.path
        assert (row["kind"], row["empty"] == "1") == (image.kind, image.empty)
        assert row["defocus_um"] == ("" if image.empty else f"{image.defocus_um:.3f}")
    assert [image.file for image in written[3:5]] == ["A01/site4.tif", "A02/site1.tif"]
    image = read_image(written[0].path)
    assert (image.facts.format, image.facts.dtype, image.shape) == ("TIFF", "uint16", (64, 64))


def test_every_other_file_grows_in_place(tmp_path: Path) -> None:
    seen: dict[str, set[int]] = {"site1.tif": set(), "site2.tif": set(), "site2.tif.tmp": set()}
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(simulate, tmp_path, kind="cells", count=2, rate_hz=2.5, seed=4, size_px=(64, 64))
        while not run.done():
            for path in tmp_path.glob("A01/*"):
                # A temporary name may be gone by now.
                with suppress(FileNotFoundError):
                    seen[path.name].add(path.stat().st_size)
    sizes = [image.path.stat().st_size for image in run.result()]
    assert len(seen["site1.tif"]) >= 4
    assert seen["site2.tif"] <= {sizes[1]}
    assert {path.name for path in tmp_path.glob("A01/*")} == {"site1.tif", "site2.tif"}


def test_the_rate_is_kept(tmp_path: Path) -> None:
    started = time.monotonic()
    simulate(tmp_path, kind="cells", count=6, rate_hz=25, seed=5, size_px=(64, 64))
    assert time.monotonic() - started >= 5 / 25


def test_flood_fill_saves_on_tem_tiles(tmp_path: Path) -> None:
    (tmp_path / "filled").mkdir()
    written = simulate(
        tmp_path, kind="tem", count=6, rate_hz=math.inf, seed=6, size_px=(400, 500), slow_writes=False
    )
    assert written[0].file == "sweep/tile_0001.png"
    before = after = 0
    for image in written:
        filled = write_smaller(image.path, tmp_path / "filled", Floodfill())
        before += image.path.stat().st_size
        after += filled.stat().st_size if filled else image.path.stat().st_size
    assert 0.05 < 1 - after / before < 0.25


def test_tem_bars_come_and_go() -> None:
    rng = np.random.default_rng(0)
    dark = [float((tem_tile(rng, (800, 1000), progress=n / 12) < 30).mean()) for n in range(12)]
    assert min(dark) < 0.05
    assert max(dark) > 0.1


def test_what_cannot_be_simulated(tmp_path: Path) -> None:
    good = {"kind": "cells", "count": 1, "rate_hz": 1.0, "seed": 0}
    for bad, words in (({"kind": "dogs"}, "kind"), ({"count": 0}, "count"), ({"rate_hz": 0}, "rate")):
        with pytest.raises(ValueError, match=words):
            simulate(tmp_path, **{**good, **bad})
