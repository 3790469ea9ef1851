"""`haste evaluate`: how well a feature or a score agrees with what a person says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from haste_apps.exits import RunFailedError
from haste_apps.interruption import Interruption
from haste_apps.measuring import plots
from haste_apps.measuring.labels import Labels, read_labels
from haste_apps.measuring.samples import Sample, left_out_text, say_failures
from haste_apps.measuring.scoring import FileScore, all_measured, feature_giving, measuring
from haste_apps.output import print_json, print_line, print_table, say
from haste_core.evaluation import Confusion, area_under, best_threshold, confusion, roc_curve
from haste_runtime.exit_codes import ExitCode

SCORE_COLUMN = "score"

POINTS_SHOWN = 25


@dataclass(frozen=True)
class Wishes:
    """What is compared; see `haste evaluate --help`."""

    feature: str | None
    threshold: float | None
    parameters: Sequence[str]
    png: Path | None


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes
    ----------
    feature : str
        Name of the number that was compared.
    good, bad : Sample
        Its values, by what a person says.
    asked : Confusion or None
        At the threshold that somebody asked for.
    """

    feature: str
    good: Sample
    bad: Sample
    curve: Sequence[Confusion]
    best: Confusion
    asked: Confusion | None

    @property
    def area(self) -> float:
        """Area under the ROC curve, in [0, 1]."""
        return area_under(self.curve)


def evaluate(path: Path, wishes: Wishes, *, as_json: bool, interruption: Interruption) -> ExitCode:
    """Compare the labels of a CSV file with a number, and print how they agree."""
    figure = plots.new_figure() if wishes.png else None
    labels = read_labels(path)
    feature = wishes.feature or next(
        (column for column in (SCORE_COLUMN, "plls") if column in labels.columns), "plls"
    )
    good, bad = _samples(labels, feature, wishes, interruption)
    failed = [*good.failed, *bad.failed]
    say_failures(failed)
    _refuse_one_class(good, bad)
    made = Evaluation(
        feature=feature,
        good=good,
        bad=bad,
        curve=roc_curve(good.values, bad.values),
        best=best_threshold(good.values, bad.values),
        asked=None if wishes.threshold is None else confusion(good.values, bad.values, wishes.threshold),
    )
    for warning in _warnings(made):
        say(f"Warning: {warning}")
    if as_json:
        print_json(_as_json(made))
    else:
        _show(made)
    if figure is not None and wishes.png is not None:
        plots.draw_roc(figure, made.curve, made.best, area=made.area)
        plots.save(figure, wishes.png)
    return ExitCode.WORK_FAILED if failed else ExitCode.DONE


def _samples(
    labels: Labels, feature: str, wishes: Wishes, interruption: Interruption
) -> tuple[Sample, Sample]:
    """Take the values from the file's own column if there is one, else from the images."""
    if feature.lower() in labels.columns:
        scores = _written(labels, feature.lower(), feature)
        say(f"{feature} is taken from the file; no image is read")
    else:
        asked = measuring(feature_giving(feature), wishes.parameters)
        scores = all_measured([image.path for image in labels.images], asked, interruption)
    by_label: dict[bool, list[FileScore]] = {True: [], False: []}
    for image, score in zip(labels.images, scores, strict=True):
        by_label[image.good].append(score)
    return Sample.of(by_label[True], feature), Sample.of(by_label[False], feature)


def _written(labels: Labels, column: str, feature: str) -> list[FileScore]:
    values = labels.numbers(column)
    return [
        FileScore(image.image, {feature: value}) for image, value in zip(labels.images, values, strict=True)
    ]


def _refuse_one_class(good: Sample, bad: Sample) -> None:
    if good.values and bad.values:
        return
    left_out = left_out_text([good, bad])
    raise RunFailedError(
        f"{len(good.values)} images that are labelled good and {len(bad.values)} labelled bad have a value; "
        "there should be some of both" + (f" ({left_out})" if left_out else "")
    )


def _warnings(made: Evaluation) -> list[str]:
    if made.area >= 0.5:
        return []
    return [
        f"more often than not the bad images have the higher {made.feature}. Is a low value good here, or "
        "are the labels swapped?"
    ]


def _show(made: Evaluation) -> None:
    left_out = left_out_text([made.good, made.bad])
    print_line(
        f"{made.feature} of {len(made.good.values)} good and {len(made.bad.values)} bad images"
        + (f"; {left_out}" if left_out else "")
    )
    print_line(f"Area under the ROC curve: {made.area:.3f} (1 parts them without a fault, 0.5 is chance)")
    _show_confusion(made.feature, made.best, "Best threshold (where Youden's J is largest)")
    if made.asked is not None:
        _show_confusion(made.feature, made.asked, "As asked for")
    _show_curve(made)


def _show_confusion(feature: str, at: Confusion, title: str) -> None:
    print_line(
        f"{title}: good where {feature} >= {at.threshold:.6g}. Sensitivity {at.sensitivity:.3f}, specificity "
        f"{at.specificity:.3f}, J = {at.youden_j:.3f}"
    )
    rows = [
        ["good", str(at.true_good), str(at.false_bad)],
        ["bad", str(at.false_good), str(at.true_bad)],
    ]
    heads = ["a person says", "called good", "called bad"]
    print_table(heads, rows, numbers=set(heads[1:]))


def _show_curve(made: Evaluation) -> None:
    corners = _corners(made.curve)
    step = max(1, math.ceil(len(corners) / POINTS_SHOWN))
    shown = [
        point for number, point in enumerate(corners) if number % step == 0 or _is_same(point, made.best)
    ]
    heads = [f"{made.feature} >=", "sensitivity", "1 - specificity", "J"]
    rows = [
        [
            f"{point.threshold:.6g}",
            f"{point.sensitivity:.3f}",
            f"{1 - point.specificity:.3f}",
            f"{point.youden_j:.3f}" + (" best" if _is_same(point, made.best) else ""),
        ]
        for point in [*shown, *([] if shown[-1] is corners[-1] else [corners[-1]])]
    ]
    print_table(heads, rows, numbers=set(heads[:3]))
    if len(shown) < len(made.curve):
        say(f"The curve has {len(made.curve)} points; --json has them all")


def _corners(curve: Sequence[Confusion]) -> list[Confusion]:
    """Leave out the points that lie on a straight line between their neighbours."""
    inner = [
        point
        for before, point, after in zip(curve, curve[1:], curve[2:], strict=False)
        if (point.true_good - before.true_good) * (after.false_good - point.false_good)
        != (after.true_good - point.true_good) * (point.false_good - before.false_good)
    ]
    return [curve[0], *inner, curve[-1]]


def _is_same(point: Confusion, other: Confusion) -> bool:
    return (point.true_good, point.false_good) == (other.true_good, other.false_good)


def _as_json(made: Evaluation) -> dict[str, Any]:
    return {
        "feature": made.feature,
        "good": made.good.as_json(),
        "bad": made.bad.as_json(),
        "area_under_roc_curve": made.area,
        "best": _confusion_json(made.best),
        "asked": None if made.asked is None else _confusion_json(made.asked),
        "roc_curve": [_confusion_json(point) for point in made.curve],
        "warnings": _warnings(made),
    }


def _confusion_json(at: Confusion) -> dict[str, Any]:
    """Tell a threshold and what it does; infinity, which calls nothing good, is null."""
    return {
        **asdict(at),
        "threshold": at.threshold if math.isfinite(at.threshold) else None,
        "sensitivity": at.sensitivity,
        "specificity": at.specificity,
        "youden_j": at.youden_j,
    }
