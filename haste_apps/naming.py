"""What names say: told before images are submitted, and by `haste names`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from haste_apps.exits import RunFailedError
from haste_apps.output import print_json, print_table, say
from haste_client import ImageFile, NamedFiles, UnparsedNamesError
from haste_client.directory import Selection, scan
from haste_client.naming import Naming
from haste_core.filenames import NameReader, ParsedName
from haste_runtime.exit_codes import ExitCode
from haste_runtime.name_presets import load_presets, name_pattern

NAMES_SHOWN = 20
CHANNELS_SHOWN = 8


class NameCheck:
    """Reads names before their images are submitted, and says what was not understood, each name once.

    Parameters
    ----------
    names : str, optional
        A preset, a YAML file or a regular expression; without it all files pass.
    unparsed : str
        "stop", "skip" or "include".
    folder : Path, optional
        That the images are in: it tells the plate of names that tell none.

    Attributes
    ----------
    unparsed : set of str
        The source_ids of images whose names were not understood.
    """

    def __init__(self, names: str | None, unparsed: str, folder: Path | None = None) -> None:
        self._naming = Naming(names, unparsed, None if folder is None else folder.resolve())
        self._ignored_told = False
        self.unparsed: set[str] = set()

    def choose_first(self, files: Iterable[ImageFile]) -> Sequence[ImageFile]:
        """Choose from the files that are there before anything starts.

        Raises
        ------
        RunFailedError
            If names are not understood, and that is to stop all.
        """
        listed = list(files)
        named = self._naming.choose(listed)
        self._tell(named)
        try:
            self._naming.check(named)
        except UnparsedNamesError as error:
            images = len(listed) - len(named.ignored)
            raise RunFailedError(
                f"nothing was submitted: the names of {len(named.unparsed)} of {images} images are not "
                "understood. Name another preset or expression (`haste names DIR` tells which presets fit), "
                "leave these images out (--unparsed skip), or submit them without (--unparsed include)"
            ) from error
        return named.files

    def choose(self, files: Iterable[ImageFile]) -> Sequence[ImageFile]:
        """Choose from files that come later; what is not understood then stops nothing."""
        named = self._naming.choose(files)
        self._tell(named)
        return named.files

    def _tell(self, named: NamedFiles) -> None:
        if named.ignored and not self._ignored_told:
            say(f"left out as thumbnails or the like: {len(named.ignored)}, such as {named.ignored[0]}")
            self._ignored_told = True
        new = [problem for problem in named.unparsed if problem.where not in self.unparsed]
        self.unparsed |= {problem.where for problem in new}
        for problem in new[:NAMES_SHOWN]:
            say(f"not understood: {problem}")
        if len(new) > NAMES_SHOWN:
            say(f"… and {len(new) - NAMES_SHOWN} more names; `haste names` lists all")


def show_presets(*, as_json: bool) -> ExitCode:
    """List the presets on stdout."""
    presets = load_presets().values()
    if as_json:
        for preset in presets:
            print_json({"name": preset.name, "description": preset.description})
    else:
        print_table(["preset", "names"], [[preset.name, preset.description] for preset in presets])
    return ExitCode.DONE


def show_fitting(directory: Path, selection: Selection, *, as_json: bool) -> ExitCode:
    """Show on stdout how many of a folder's names each preset reads, the best first; 1 if none reads any."""
    paths = [file.source_id for file in _found(directory, selection)]
    counts = {name: NameReader(preset).read(paths) for name, preset in load_presets().items()}
    rows = [(name, len(read.parsed), len(read.ignored), len(read.unparsed)) for name, read in counts.items()]
    rows = sorted((row for row in rows if row[1]), key=lambda row: (-row[1], row[0]))
    heads = ("preset", "understood", "ignored", "not understood")
    if as_json:
        for row in rows:
            print_json({head.replace(" ", "_"): value for head, value in zip(heads, row, strict=True)})
    elif rows:
        print_table(heads, [[str(value) for value in row] for row in rows], numbers=heads[1:])
    if not rows:
        say(
            f"No preset understands any of the {len(paths)} names, such as {paths[0]}"
            if paths
            else "No images"
        )
    return ExitCode.DONE if rows else ExitCode.WORK_FAILED


def show_names(directory: Path, names: str, selection: Selection, *, as_json: bool) -> ExitCode:
    """Show on stdout what the names of a folder's images say, on stderr those that say nothing."""
    reader = NameReader(name_pattern(names), directory.resolve().as_posix())
    read = reader.read(file.source_id for file in _found(directory, selection))
    if as_json:
        for path, name in read.parsed.items():
            print_json({"source_id": path, **name.fields()})
        for path in read.ignored:
            print_json({"source_id": path, "ignored": True})
        for problem in read.unparsed:
            print_json({"source_id": problem.where, "unparsed": problem.what})
    else:
        _print_wells(read.parsed.values())
        for problem in read.unparsed:
            say(f"not understood: {problem}")
    say(
        f"{len(read.parsed)} images understood, {len(read.ignored)} ignored, "
        f"{len(read.unparsed)} not understood"
    )
    return ExitCode.WORK_FAILED if read.unparsed or not read.parsed else ExitCode.DONE


def _found(directory: Path, selection: Selection) -> Sequence[ImageFile]:
    found = scan(directory, selection)
    for problem in found.unreadable:
        say(f"left out: {problem}")
    return found.files


def _print_wells(names: Iterable[ParsedName]) -> None:
    """Print one row for each well, or for each plate where names tell no wells."""
    wells: defaultdict[tuple[str, str], list[ParsedName]] = defaultdict(list)
    for name in names:
        wells[name.plate or "-", name.well or "-"].append(name)
    heads = ("plate", "well", "sites", "channels", "z", "t", "images")
    rows = [
        [
            plate,
            well,
            _count(name.site for name in members),
            _channels(members),
            _count(name.z for name in members),
            _count(name.t for name in members),
            str(len(members)),
        ]
        for (plate, well), members in sorted(wells.items())
    ]
    if rows:
        print_table(heads, rows, numbers={"sites", "z", "t", "images"})


def _count(values: Iterable[object]) -> str:
    number = len({value for value in values if value is not None})
    return str(number) if number else "-"


def _channels(members: Iterable[ParsedName]) -> str:
    names = sorted({name.channel for name in members if name.channel is not None})
    more = f" and {len(names) - CHANNELS_SHOWN} more" if len(names) > CHANNELS_SHOWN else ""
    return ", ".join(names[:CHANNELS_SHOWN]) + more if names else "-"
