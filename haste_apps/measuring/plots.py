"""Pictures of a calibration and of an evaluation, by matplotlib, which is no requirement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from haste_apps.measuring.calibration import Calibration, borders_of
from haste_apps.measuring.histogram import BINS
from haste_core.errors import InvalidError, Problem
from haste_core.evaluation import Confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE_INCHES = (7.0, 4.5)
_DPI = 150
_CURVE_POINTS = 200


def new_figure() -> Figure:
    """Make an empty picture.

    Raises
    ------
    InvalidError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InvalidError(
            [Problem("--png", "matplotlib draws it, and is not installed here: pip install matplotlib")]
        ) from error
    return Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")


def draw_calibration(figure: Figure, made: Calibration) -> None:
    """Draw the histogram of a feature, the curve that turns it into a score, and the policy's borders."""
    from matplotlib.ticker import MaxNLocator

    counts = figure.add_subplot()
    counts.hist(list(made.values.values()), bins=BINS, label=list(made.values), stacked=True, alpha=0.6)
    counts.set(xlabel=made.feature, ylabel="images")
    counts.yaxis.set_major_locator(MaxNLocator(integer=True))
    counts.legend(loc="upper left")
    low, high = counts.get_xlim()
    xs = [low + (high - low) * number / (_CURVE_POINTS - 1) for number in range(_CURVE_POINTS)]
    scores = counts.twinx()
    scores.plot(xs, [made.score(x) for x in xs], color="black")
    for border in borders_of(made.policy):
        scores.axhline(border, color="grey", linewidth=0.5, linestyle=":")
    scores.set(ylabel="score", ylim=(0, 1), xlim=(low, high))


def draw_roc(figure: Figure, curve: Sequence[Confusion], best: Confusion, *, area: float) -> None:
    """Draw a ROC curve with its best threshold."""
    axes = figure.add_subplot()
    axes.plot([1 - point.specificity for point in curve], [point.sensitivity for point in curve])
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.5, linestyle=":")
    axes.plot([1 - best.specificity], [best.sensitivity], "o", label=f"threshold {best.threshold:.6g}")
    axes.set(
        xlabel="bad images that are called good (1 - specificity)",
        ylabel="good images that are called good (sensitivity)",
        title=f"area under the curve {area:.3f}",
        aspect="equal",
    )
    axes.legend(loc="lower right")


def save(figure: Figure, path: Path) -> None:
    """Write a picture as PNG."""
    figure.savefig(path, format="png")
