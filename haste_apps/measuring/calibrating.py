"""`haste calibrate`: the logistic curve that fits a lab's own images, as a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from haste_apps.exits import RunFailedError
from haste_apps.interruption import Interruption
from haste_apps.measuring import plots
from haste_apps.measuring.calibration import Calibration, blueprint, borders_of, read_policy, with_curve
from haste_apps.measuring.calibration_report import as_json_object, as_yaml, say_calibration
from haste_apps.measuring.samples import Sample, left_out_text, say_failures
from haste_apps.measuring.scoring import FileScore, all_measured, images_in, no_images_text
from haste_apps.output import print_json, print_line
from haste_apps.suspicions import mixed_kinds
from haste_client.directory import Selection
from haste_core.calibration import CalibrationError, LogisticCurve, fit_classes, fit_quantiles
from haste_core.errors import InvalidError, Problem
from haste_core.policies import IntervalPolicy
from haste_runtime.exit_codes import ExitCode
from haste_workers.handlers.focus_score import FocusScoreParameters

ALL_IMAGES = "images"
"""The one group of images that nobody has sorted."""

DEFAULT_FOLDERS = ("sharp", "blurred")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What is fitted, and to what; see `haste calibrate --help`.

    Attributes
    ----------
    asked : FocusScoreParameters
        What has to be measured for `feature`.
    quantiles : str, optional
        As written: ``0.25,0.5,0.75``.
    sharp, blurred : str
        Names of sub-folders.
    """

    feature: str
    asked: FocusScoreParameters
    function: str
    quantiles: str | None
    sharp: str
    blurred: str
    policy: Path | None
    name: str | None
    selection: Selection
    png: Path | None


def calibrate(directory: Path, wishes: Wishes, *, as_json: bool, interruption: Interruption) -> ExitCode:
    """Measure a folder's images, fit a curve to them, and print it as a pipeline."""
    figure = plots.new_figure() if wishes.png else None
    policy = read_policy(wishes.policy)
    plan = blueprint(directory, wishes.name, wishes.function, wishes.feature, wishes.asked, policy)
    folders = _folders(directory, wishes)
    shares = _shares(wishes.quantiles, policy) if len(folders) == 1 else ()
    scores = _measured(folders, wishes, interruption)
    samples = {group: Sample.of(scores[group], wishes.feature) for group in folders}
    failed = [one for sample in samples.values() for one in sample.failed]
    say_failures(failed)
    curve = _fitted(samples, shares, policy, wishes.feature).rounded()
    made = Calibration(
        feature=wishes.feature,
        samples=samples,
        shares=shares,
        curve=curve,
        pipeline=with_curve(plan, curve),
        kinds=tuple(mixed_kinds(one.features for group in scores.values() for one in group)),
    )
    say_calibration(made)
    if as_json:
        print_json(as_json_object(made))
    else:
        print_line(as_yaml(made, directory))
    if figure is not None and wishes.png is not None:
        plots.draw_calibration(figure, made)
        plots.save(figure, wishes.png)
    return ExitCode.WORK_FAILED if failed else ExitCode.DONE


def _folders(directory: Path, wishes: Wishes) -> dict[str, Path]:
    """Find the two folders of sorted images, or take all images as one group; by the group's name."""
    if wishes.quantiles is not None:
        return {ALL_IMAGES: directory}
    names = (wishes.sharp, wishes.blurred)
    there = {entry.name.casefold(): entry for entry in directory.iterdir() if entry.is_dir()}
    found = {name: there[name.casefold()] for name in names if name.casefold() in there}
    if len(set(found.values())) == 2:
        return found
    if not found and names == DEFAULT_FOLDERS:
        return {ALL_IMAGES: directory}
    raise _wrong(
        str(directory),
        f"there should be two sub-folders, {names[0]} and {names[1]}; name others with --sharp and "
        "--blurred. To share out all images among the tiers instead, say --quantiles",
    )


def _shares(written: str | None, policy: IntervalPolicy) -> tuple[float, ...]:
    """Read the quantiles that get the policy's borders as scores; by default, tiers get equal shares."""
    borders = borders_of(policy)
    if len(borders) < 2:
        raise _wrong(
            "--policy",
            f"a policy of {len(policy.intervals)} tiers leaves k open; quantiles fix it for three or more. "
            "Sort images into the sub-folders sharp and blurred instead",
        )
    if written is None:
        return tuple(number / len(policy.intervals) for number in range(1, len(policy.intervals)))
    try:
        shares = tuple(float(text) for text in written.split(","))
    except ValueError as error:
        raise _wrong("--quantiles", f"{written!r} is no list like 0.25,0.5,0.75") from error
    rising = tuple(sorted(set(shares)))
    if (
        len(rising) != len(borders)
        or shares not in (rising, rising[::-1])
        or not 0 < rising[0] <= rising[-1] < 1
    ):
        listed = ", ".join(f"{border:g}" for border in borders)
        raise _wrong(
            "--quantiles",
            f"there should be {len(borders)} numbers between 0 and 1, one for each border of the policy "
            f"({listed}), rising; or falling, if low values are interesting",
        )
    return shares


def _wrong(where: str, what: str) -> InvalidError:
    return InvalidError([Problem(where, what)])


def _measured(
    folders: Mapping[str, Path], wishes: Wishes, interruption: Interruption
) -> dict[str, list[FileScore]]:
    chosen = {group: images_in(folder, wishes.selection) for group, folder in folders.items()}
    for group, (paths, refused) in chosen.items():
        if not paths and not refused:
            raise _wrong(str(folders[group]), no_images_text(wishes.selection))
    return {
        group: [*refused, *all_measured(paths, wishes.asked, interruption)]
        for group, (paths, refused) in chosen.items()
    }


def _fitted(
    samples: Mapping[str, Sample], shares: tuple[float, ...], policy: IntervalPolicy, feature: str
) -> LogisticCurve:
    groups = [sample.values for sample in samples.values()]
    try:
        if shares:
            return fit_quantiles(groups[0], quantiles=shares, scores=borders_of(policy))
        return fit_classes(*groups)
    except CalibrationError as error:
        left_out = left_out_text(samples.values())
        raise RunFailedError(
            f"no fit to {feature}: {error}" + (f" ({left_out})" if left_out else "")
        ) from error
