"""The commands that measure images in their own process: no server, nothing stored."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haste_apps.exits import explained_errors
from haste_apps.interruption import Interruption, interruptible
from haste_apps.options import AsJson, Folder, Pattern, Recursive

if TYPE_CHECKING:
    from collections.abc import Callable

    from haste_runtime.exit_codes import ExitCode


class Function(StrEnum):
    """Interestingness functions that can be fitted."""

    LOGISTIC = "logistic"


Feature = Annotated[
    str, typer.Option("--feature", metavar="NAME", help="Which number of those that `haste score` gives.")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        metavar="NAME=VALUE",
        help="As a pipeline's for focus-score, such as channel=DAPI or bits=12; may be repeated.",
    ),
]
Png = Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw it, too.", dir_okay=False)]


def score(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Images, folders of images, or URLs of images.")
    ],
    features: Annotated[
        str, typer.Option("--features", metavar="NAMES", help="More to measure, as in: snr,intensity")
    ] = "",
    parameters: Parameters = None,
    pattern: Pattern = None,
    recursive: Recursive = True,
    as_json: AsJson = False,
) -> None:
    """Measure images on this machine: focus, signal, and what else is asked for; one line each."""

    def work(interruption: Interruption) -> ExitCode:
        from haste_apps.measuring import scoring
        from haste_client.directory import Selection

        names = [name.strip() for name in features.split(",") if name.strip()]
        asked = scoring.measuring(names, parameters)
        selection = Selection(pattern, recursive)
        return scoring.score(files, selection, asked, as_json=as_json, interruption=interruption)

    _do(work)


def calibrate(
    directory: Folder,
    function: Annotated[Function, typer.Option("--function", help="What is fitted.")] = Function.LOGISTIC,
    feature: Feature = "plls",
    quantiles: Annotated[
        str | None,
        typer.Option(
            "--quantiles",
            metavar="SHARES",
            help="Shares of the images below each of the policy's borders, as in: 0.25,0.5,0.75. "
            "Default: the same share for each tier.",
        ),
    ] = None,
    sharp: Annotated[
        str, typer.Option("--sharp", metavar="NAME", help="Sub-folder of good images.")
    ] = "sharp",
    blurred: Annotated[
        str, typer.Option("--blurred", metavar="NAME", help="Sub-folder of bad images.")
    ] = "blurred",
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", metavar="FILE", help="YAML of a policy or pipeline; default: four tiers by quarter."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the pipeline; default: by the folder's name.")
    ] = None,
    parameters: Parameters = None,
    pattern: Pattern = None,
    recursive: Recursive = True,
    png: Png = None,
    as_json: AsJson = False,
) -> None:
    """Fit the score to a folder's images, and print a pipeline with it.

    Two sub-folders, sharp and blurred, are parted; else, or with --quantiles, tiers get shares of the images.
    """

    def work(interruption: Interruption) -> ExitCode:
        from haste_apps.measuring import calibrating, scoring
        from haste_client.directory import Selection

        wishes = calibrating.Wishes(
            feature=feature,
            asked=scoring.measuring(scoring.feature_giving(feature), parameters),
            function=function.value,
            quantiles=quantiles,
            sharp=sharp,
            blurred=blurred,
            policy=policy,
            name=name,
            selection=Selection(pattern, recursive),
            png=png,
        )
        return calibrating.calibrate(directory, wishes, as_json=as_json, interruption=interruption)

    _do(work)


def evaluate(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="CSV",
            help="Columns image (a path from the file's folder) and label (good or bad); perhaps score.",
            exists=True,
            dir_okay=False,
        ),
    ],
    feature: Annotated[
        str | None,
        typer.Option(
            "--feature",
            metavar="NAME",
            help="A column of the CSV, or which number of those that `haste score` gives. "
            "Default: score if the CSV has it, else plls.",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Also call good what is at least this.")
    ] = None,
    parameters: Parameters = None,
    png: Png = None,
    as_json: AsJson = False,
) -> None:
    """Compare a feature or score with what a person says: confusion table, ROC curve, area under it."""

    def work(interruption: Interruption) -> ExitCode:
        from haste_apps.measuring import evaluating

        wishes = evaluating.Wishes(feature, threshold, parameters or [], png)
        return evaluating.evaluate(labels, wishes, as_json=as_json, interruption=interruption)

    _do(work)


def _do(work: Callable[[Interruption], ExitCode]) -> None:
    with interruptible() as interruption, explained_errors():
        code = interruption.run(lambda: work(interruption))
    raise typer.Exit(code)
