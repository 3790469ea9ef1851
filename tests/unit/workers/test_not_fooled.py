"""What only looks sharp gets no high tier: images are scored by the handler and decided as shipped."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
import yaml
from numpy.typing import NDArray
from scipy import ndimage

from haste_apps.simulate import cell_field
from haste_core import decisions
from haste_core.interestingness import ScoredObject, built_in
from haste_core.pipelines import Pipeline
from tests.unit.features.fields import disks, levels, noise
from tests.unit.features.shared_images import reference_images
from tests.unit.workers.bench import RunTask

PIPELINES = Path(__file__).parents[3] / "config/pipelines"
SHAPE = (384, 384)
SHARP_PX, BLURRED_PX = 0.7, 3.0
BACKGROUND_E, OFFSET, READ_NOISE = 60.0, 100.0, 2.0

EMPTY = "no score: empty field"
SPECKS = "no score: hot pixels or specks"
DIM = "no score: too dim to judge"
BLURRED = "tierD"
SHARP = "tierA"

Pixels = NDArray[Any]
Decide = Callable[[Pixels], str]


def pipeline(name: str) -> Pipeline:
    return Pipeline.parse(yaml.safe_load((PIPELINES / f"{name}.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def decide(run_task: RunTask, data_dir: Path) -> Decide:
    """Return a function that tells an image's tier, or why it has no score."""
    shipped = pipeline("focus-tier")
    path = data_dir / "field.tif"

    def outcome(image: Pixels) -> str:
        tifffile.imwrite(path, image)
        response = run_task("focus-score", path, parameters=shipped.parameters["focus-score"]).response
        assert shipped.interestingness is not None
        assert shipped.policy is not None
        decision = decisions.decide(
            ScoredObject(features=response, metadata={}),
            spec=shipped.interestingness,
            policy=shipped.policy,
            build=built_in,
        )
        undecided = decision.tier == shipped.policy.undefined
        assert undecided == (decision.score is None)
        return decision.reason if undecided else decision.tier

    return outcome


def seen(light: Pixels, seed: int) -> Pixels:
    """Return what an sCMOS camera makes of light in electrons."""
    rng = np.random.default_rng(seed)
    return levels(rng.poisson(light) + rng.normal(OFFSET, READ_NOISE, light.shape))


@functools.cache
def sharp_light(seed: int) -> Pixels:
    return disks(np.random.default_rng(seed), SHAPE, px_per_disk=3000)


def cells(seed: int, *, blur_px: float, share: float = 1.0) -> Pixels:
    light = ndimage.gaussian_filter(sharp_light(seed), blur_px, mode="wrap")
    return seen(BACKGROUND_E + share * light, seed)


def add(
    image: Pixels, seed: int, *, count: int, height_px: int, width_px: int, level: int = 40_000
) -> Pixels:
    """Put small bright things on a field."""
    rng = np.random.default_rng(seed)
    for top, left in rng.integers(30, SHAPE[0] - 60, (count, 2)):
        image[top : top + height_px, left : left + width_px] = level
    return image


def spot_of_light(seed: int) -> Pixels:
    y, x = (np.indices(SHAPE) - 150) / SHAPE[0]
    return seen(200 + 1000 * np.exp(-(x**2 + y**2)), seed)


FIELDS: dict[str, tuple[Callable[[int], Pixels], set[str]]] = {
    "noise only": (lambda seed: levels(noise(seed, SHAPE)), {EMPTY}),
    "bright noise": (lambda seed: levels(noise(seed, SHAPE, electrons=5000)), {EMPTY}),
    "noise on light that falls off": (lambda seed: levels(noise(seed, SHAPE, vignetting=0.3)), {EMPTY}),
    "noise on uneven light": (spot_of_light, {EMPTY, BLURRED}),
    "one speck on noise": (
        lambda seed: add(levels(noise(seed, SHAPE)), seed, count=1, height_px=5, width_px=5),
        {EMPTY},
    ),
    "in focus": (lambda seed: cells(seed, blur_px=SHARP_PX), {SHARP}),
    "in focus, a tenth of the light": (lambda seed: cells(seed, blur_px=SHARP_PX, share=0.1), {SHARP}),
    "in focus, a thirtieth": (lambda seed: cells(seed, blur_px=SHARP_PX, share=1 / 30), {SHARP}),
    "in focus, drowned": (lambda seed: cells(seed, blur_px=SHARP_PX, share=0.01), {DIM}),
    "in focus, gone": (lambda seed: cells(seed, blur_px=SHARP_PX, share=0.001), {DIM, EMPTY}),
    "a little blurred, a twentieth": (lambda seed: cells(seed, blur_px=1.9, share=0.05), {DIM}),
    "blurred": (lambda seed: cells(seed, blur_px=BLURRED_PX), {BLURRED}),
    "blurred, a tenth of the light": (lambda seed: cells(seed, blur_px=BLURRED_PX, share=0.1), {BLURRED}),
    "blurred, a thirtieth": (lambda seed: cells(seed, blur_px=BLURRED_PX, share=1 / 30), {BLURRED, DIM}),
    "blurred, drowned": (lambda seed: cells(seed, blur_px=BLURRED_PX, share=0.01), {DIM}),
    "blurred, gone": (lambda seed: cells(seed, blur_px=BLURRED_PX, share=0.001), {DIM, EMPTY}),
    **{
        f"a speck of {size} pixels on a blurred field": (
            lambda seed, size=size: add(
                cells(seed, blur_px=BLURRED_PX), seed, count=1, height_px=size, width_px=size
            ),
            {SPECKS} if size in (4, 6) else {SPECKS, BLURRED},
        )
        for size in (1, 2, 4, 6, 16)
    },
    "five specks on a blurred field": (
        lambda seed: add(cells(seed, blur_px=BLURRED_PX), seed, count=5, height_px=4, width_px=3),
        {SPECKS},
    ),
    "a fibre on a blurred field": (
        lambda seed: add(
            cells(seed, blur_px=BLURRED_PX), seed, count=1, height_px=20, width_px=3, level=9000
        ),
        {SPECKS},
    ),
    "a hot pixel on a dim blurred field": (
        lambda seed: add(cells(seed, blur_px=BLURRED_PX, share=0.1), seed, count=1, height_px=1, width_px=1),
        {SPECKS},
    ),
    "hundreds of hot pixels on a blurred field": (
        lambda seed: add(cells(seed, blur_px=BLURRED_PX), seed, count=400, height_px=1, width_px=1),
        {DIM},
    ),
    "a hot pixel on a field in focus": (
        lambda seed: add(cells(seed, blur_px=SHARP_PX, share=0.1), seed, count=1, height_px=1, width_px=1),
        {SHARP},
    ),
    "a fibre on a field in focus": (
        lambda seed: add(cells(seed, blur_px=SHARP_PX), seed, count=1, height_px=20, width_px=3, level=9000),
        {SHARP},
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_go_where_they_belong(name: str, decide: Decide) -> None:
    make, expected = FIELDS[name]
    outcomes = {decide(make(seed)) for seed in range(3)}
    assert {next((one for one in expected if found.startswith(one)), found) for found in outcomes} <= expected


@pytest.mark.parametrize(
    ("seed", "defocus_um"), [(60, -3.5), (85, -2.0), (108, -0.7), (116, -0.2), (149, 1.7)]
)
def test_few_cells_in_a_small_field_are_no_specks(seed: int, defocus_um: float, decide: Decide) -> None:
    field = cell_field(np.random.default_rng(seed), (256, 256), defocus_um=defocus_um)
    assert decide(field) in ("tierA", "tierB", "tierC")


def test_the_files_of_a_dim_blurred_field_may_be_compressed(decide: Decide, data_dir: Path) -> None:
    dim = cells(1, blur_px=BLURRED_PX, share=1 / 50)
    path = data_dir / "field.jpg"
    PIL.Image.fromarray(levels((dim - OFFSET) / 2, "uint8")).save(path, quality=80)
    with PIL.Image.open(path) as picture:
        assert decide(np.asarray(picture)).startswith(DIM)


def test_both_pipelines_judge_alike() -> None:
    one, other = pipeline("focus-tier"), pipeline("full")
    assert one.interestingness == other.interestingness
    assert one.parameters["focus-score"] == other.parameters["focus-score"]


def dimmed(image: Pixels, share: float, seed: int) -> Pixels:
    """Return a real field with a share of its signal, of which all would be 2000 electrons."""
    low, high = np.percentile(image, (1, 99.9))
    return seen(BACKGROUND_E + 2000 * share * np.maximum(image - low, 0) / (high - low), seed)


def real_fields(shared_dir: Path) -> Iterator[tuple[str, Pixels]]:
    """Yield a third of the small images: of known blur, and of none."""
    small = [(row["file"], image) for row, image, _ in reference_images(shared_dir) if image.size < 300_000]
    yield from small[::3]


def test_real_fields_climb_by_no_loss_of_light(shared_dir: Path, decide: Decide) -> None:
    moved, tiers = [], []
    for seed, (name, image) in enumerate(real_fields(shared_dir)):
        bright = decide(dimmed(image, 1, seed))
        tiers.append(bright)
        may_be = {bright, SHARP} if bright == "tierB" else {bright}
        outcomes = [decide(dimmed(image, share, seed)) for share in (0.1, 0.03, 0.01)]
        moved += [
            (name, bright, dim) for dim in outcomes if dim not in may_be and not dim.startswith((DIM, EMPTY))
        ]
        assert outcomes[-1].startswith((DIM, EMPTY)), name
    assert moved == []
    assert {tiers.count(tier) > 3 for tier in (SHARP, BLURRED)} == {True}
