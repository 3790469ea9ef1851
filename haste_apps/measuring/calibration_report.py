"""A calibration as `haste calibrate` tells it: tables on stderr; YAML or JSON for programs."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import yaml

from haste_apps.measuring.calibration import Calibration
from haste_apps.measuring.histogram import BINS, bar
from haste_apps.measuring.samples import left_out_text
from haste_apps.output import print_table, say, without_nothing
from haste_runtime.charts import Bin
from haste_runtime.histograms import histogram


def say_calibration(made: Calibration) -> None:
    """Show on stderr how the values are spread, and what the curve makes of them."""
    say(f"{_fitted_to(made)}. k = {made.curve.k:g}, x0 = {made.curve.x0:g}")
    _show_histogram(made, histogram(made.values, bins=BINS))
    _show_tiers(made)
    if made.targets():
        print_table(
            ["share of images below", made.feature, "score wanted", "score"],
            [
                [f"{target.share:g}", f"{target.value:.6g}", f"{target.border:g}", f"{target.score:.3f}"]
                for target in made.targets()
            ],
            numbers={made.feature},
            file=sys.stderr,
        )
    if made.area is not None:
        good, bad = made.samples
        say(
            f"Of an image in {good} and one in {bad}, the first has the higher {made.feature} in "
            f"{made.area:.1%} of all pairs (area under the ROC curve)"
        )
    for warning in made.warnings():
        say(f"Warning: {warning}")


def _fitted_to(made: Calibration) -> str:
    counts = " and ".join(f"{len(values)} {group}" for group, values in made.values.items())
    left_out = left_out_text(made.samples.values())
    return f"{made.feature} of {counts}" + (f"; {left_out}" if left_out else "")


def _show_histogram(made: Calibration, bins: list[Bin]) -> None:
    largest = max(count for one in bins for count in one.counts.values())
    print_table(
        [made.feature, "score", "tier", *made.samples],
        [
            [
                f"{one.lo:.4g} to {one.hi:.4g}",
                f"{made.score(one.middle):.2f}",
                made.tier(one.middle),
                *(f"{bar(count, largest)} {count}".strip() for count in one.counts.values()),
            ]
            for one in bins
        ],
        file=sys.stderr,
    )


def _show_tiers(made: Calibration) -> None:
    print_table(
        ["tier", *made.samples],
        [[tier, *(str(counts[group]) for group in made.samples)] for tier, counts in made.tiers().items()],
        numbers=set(made.samples),
        file=sys.stderr,
    )


def as_json_object(made: Calibration) -> dict[str, Any]:
    """Tell everything as JSON."""
    return {
        "function": "logistic",
        "feature": made.feature,
        "k": made.curve.k,
        "x0": made.curve.x0,
        "groups": {group: sample.as_json() for group, sample in made.samples.items()},
        "area_under_roc_curve": made.area,
        "targets": [dataclasses.asdict(target) for target in made.targets()],
        "tiers": {tier: dict(counts) for tier, counts in made.tiers().items()},
        "histogram": [dataclasses.asdict(one) for one in histogram(made.values, bins=BINS)],
        "warnings": made.warnings(),
        "pipeline": made.pipeline.to_json(),
    }


def as_yaml(made: Calibration, directory: Path) -> str:
    """Write the pipeline as a file for `--pipelines-dir`, with what it was made from."""
    # A folder's name may hold a line break.
    comment = " ".join(f"# Fitted by `haste calibrate {directory}` to {_fitted_to(made)}.".split())
    said = without_nothing(made.pipeline.to_json())
    pipeline = {name: value for name, value in said.items() if value}
    text = yaml.safe_dump(pipeline, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return f"{comment}\n{text}".rstrip()
