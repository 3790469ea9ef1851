"""`haste score`: what images show, measured in this process; and the images of other commands, likewise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from haste_apps.interruption import Interruption
from haste_apps.output import number_text, print_json, print_line
from haste_client.directory import Selection, scan
from haste_client.progress import progress_bar
from haste_core.errors import HasteError, InvalidError, Problem
from haste_core.features.quality import FEATURE_OF_NUMBER
from haste_core.findings import problems_of
from haste_runtime.exit_codes import ExitCode
from haste_runtime.options import named_values
from haste_workers.fetching import is_url
from haste_workers.handlers.focus_score import FocusScoreParameters, score_file

ALWAYS_MEASURED = ("plls", "signal_fraction")


@dataclass(frozen=True)
class FileScore:
    """What came of one file.

    Attributes
    ----------
    file : str
        Its path as the user may write it.
    features : mapping
        As `focus-score` answers them; empty if it failed.
    error : str
        Why it failed; empty if it did not. An image whose score is undefined has not failed.
    """

    file: str
    features: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


def measuring(features: Iterable[str], parameters: Iterable[str] | None = None) -> FocusScoreParameters:
    """Say what is measured, of which plane of a file.

    Parameters
    ----------
    features : iterable of str
        Beside the slope.
    parameters : iterable of str
        ``NAME=VALUE``: other parameters of `focus-score`.

    Raises
    ------
    InvalidError
        If there is no such feature or parameter.
    """
    given = named_values(parameters or (), "--parameter")
    if "features" in given:
        raise InvalidError([Problem("--parameter", "features are named by an option of their own")])
    # A channel's number is no name, as in a pipeline's YAML.
    values = {name: int(text) if text.isdecimal() else text for name, text in given.items()}
    try:
        return FocusScoreParameters.model_validate({**values, "features": tuple(features)})
    except ValidationError as error:
        raise InvalidError(problems_of(error)) from error


def feature_giving(number: str) -> tuple[str, ...]:
    """Find the feature to ask for to get a number; none for what is always measured.

    Raises
    ------
    InvalidError
        If no feature gives it.
    """
    if number in ALWAYS_MEASURED:
        return ()
    if number not in FEATURE_OF_NUMBER:
        known = ", ".join([*ALWAYS_MEASURED, *FEATURE_OF_NUMBER])
        raise InvalidError([Problem("--feature", f"there is no number {number!r}; choose from {known}")])
    return (FEATURE_OF_NUMBER[number],)


def images_in(folder: Path, selection: Selection) -> tuple[list[Path], list[FileScore]]:
    """List the images of a folder, and what looks like one and cannot be taken."""
    try:
        found = scan(folder, selection)
    except OSError as error:
        return [], [FileScore(_named(folder), error=f"this folder cannot be read: {error.strerror}")]
    refused = [FileScore(_named(folder / problem.where), error=problem.what) for problem in found.unreadable]
    return [folder / file.source_id for file in found.files], refused


def measured(
    paths: Iterable[str | Path], asked: FocusScoreParameters, interruption: Interruption
) -> Iterator[FileScore]:
    """Measure image files one after the other; those that are named by URLs are fetched."""
    for path in paths:
        interruption.check()
        try:
            yield FileScore(_named(path), score_file(path, asked))
        except HasteError as error:
            yield FileScore(_named(path), error=str(error))
        except MemoryError:
            yield FileScore(_named(path), error="this machine has not enough free memory to read it")


def all_measured(
    paths: list[Path], asked: FocusScoreParameters, interruption: Interruption
) -> list[FileScore]:
    """Measure image files, with a progress bar on stderr."""
    scores = []
    with progress_bar("measuring", total=len(paths), shown=True) as bar:
        for score in measured(paths, asked, interruption):
            scores.append(score)
            bar.advance(1)
    return scores


def score(
    arguments: Iterable[str],
    selection: Selection,
    asked: FocusScoreParameters,
    *,
    as_json: bool,
    interruption: Interruption,
) -> ExitCode:
    """Print what files, those that URLs name, and the images of folders show: one line each."""
    paths, refused = _chosen(arguments, selection)
    names = [*map(_named, paths), *(one.file for one in refused)]
    width = max(map(len, names))
    failed = bool(refused)
    for one in refused:
        _show(one, width, as_json=as_json)
    for one in measured(paths, asked, interruption):
        _show(one, width, as_json=as_json)
        failed = failed or bool(one.error)
    return ExitCode.WORK_FAILED if failed else ExitCode.DONE


def _chosen(arguments: Iterable[str], selection: Selection) -> tuple[list[str | Path], list[FileScore]]:
    paths: list[str | Path] = []
    refused: list[FileScore] = []
    for argument in arguments:
        if is_url(argument) or not Path(argument).is_dir():
            paths.append(argument)
            continue
        found, not_taken = images_in(Path(argument), selection)
        paths += found
        refused += not_taken
        if not found and not not_taken:
            refused.append(FileScore(_named(argument), error=no_images_text(selection)))
    return paths, refused


def no_images_text(selection: Selection) -> str:
    """Say what a folder lacks."""
    if selection.pattern is None:
        return "this folder holds no file that is named like an image"
    return f"this folder holds no file whose name is like {selection.pattern}"


def _named(path: str | Path) -> str:
    # On POSIX a name is bytes; what is no text cannot be printed either.
    return str(path).encode(errors="replace").decode()


def _show(one: FileScore, width: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": one.file, "error": one.error} if one.error else _as_json(one))
    else:
        print_line(f"{one.file:<{width}}  {_in_words(one)}")


def _as_json(one: FileScore) -> dict[str, Any]:
    return {"file": one.file, **one.features, "undefined": one.features.get("undefined")}


def _in_words(one: FileScore) -> str:
    if one.error:
        return f"failed: {one.error}"
    features = one.features
    kind = f"{features['width']} x {features['height']} {features['dtype']}"
    words = [
        f"plls {number_text(features['plls'], 4):>7}",
        f"signal {features['signal_fraction']:.3f}",
        f"{kind:<20}",
        *(f"{name} {value:g}" for name, value in features.items() if name in FEATURE_OF_NUMBER),
    ]
    if features.get("undefined"):
        words.append(f"no score: {features['undefined']}")
    elif features["empty"]:
        words.append("empty field")
    words += [f"no {name}: {why}" for name, why in features.get("undefined_features", {}).items()]
    return "  ".join(words).rstrip()
