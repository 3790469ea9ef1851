"""What the names of a folder's files say, and what becomes of those that say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from haste_client.directory import ImageFile
from haste_core.errors import InvalidError, Problem
from haste_core.filenames import NameReader, ParsedName
from haste_core.wells import Well
from haste_runtime.name_presets import name_pattern


class Unparsed(StrEnum):
    """What becomes of images whose names are not understood.

    Attributes
    ----------
    STOP
        Nothing is submitted.
    SKIP
        They are left out.
    INCLUDE
        They are submitted all the same, without what their names do not say.
    """

    STOP = "stop"
    SKIP = "skip"
    INCLUDE = "include"


class UnparsedNamesError(InvalidError):
    """Names are not understood, and nobody has said what is to become of them; nothing was submitted."""


@dataclass(frozen=True)
class NamedFiles:
    """Files whose names were read.

    Attributes
    ----------
    files : tuple of ImageFile
        Those to submit, each with its `name` as far as it was understood.
    ignored : tuple of str
        Thumbnails and the like, by source_id.
    unparsed : tuple of Problem
        Names that were not understood, and why; `where` is the source_id.
    """

    files: tuple[ImageFile, ...]
    ignored: tuple[str, ...] = ()
    unparsed: tuple[Problem, ...] = ()


class Naming:
    """Reads the names of one folder's files, all at once or as they come.

    Parameters
    ----------
    names : str, optional
        A preset, a YAML file or a regular expression, as for `name_pattern`. Default: names say nothing, and
        all files are to be submitted.
    unparsed : Unparsed or str
    folder : Path, optional
        The folder, absolute: it tells the plate of names that tell none.

    Raises
    ------
    InvalidError
        If one of them is wrong.
    """

    def __init__(self, names: str | None, unparsed: str = Unparsed.STOP, folder: Path | None = None) -> None:
        above = "" if folder is None else folder.as_posix()
        self._reader = None if names is None else NameReader(name_pattern(names), above)
        try:
            self._unparsed = Unparsed(unparsed)
        except ValueError as error:
            raise InvalidError([Problem("unparsed", str(error))]) from error

    def choose(self, files: Iterable[ImageFile]) -> NamedFiles:
        """Read the names of files, and leave out what is not to be submitted."""
        listed = tuple(files)
        if self._reader is None:
            return NamedFiles(listed)
        read = self._reader.read(file.source_id for file in listed)
        wanted = set(read.parsed)
        if self._unparsed is Unparsed.INCLUDE:
            wanted |= {problem.where for problem in read.unparsed}
        chosen = [
            replace(file, name=read.parsed.get(file.source_id)) for file in listed if file.source_id in wanted
        ]
        return NamedFiles(tuple(chosen), read.ignored, read.unparsed)

    def check(self, named: NamedFiles) -> None:
        """Raise UnparsedNamesError if names were not understood and that is to stop all."""
        if named.unparsed and self._unparsed is Unparsed.STOP:
            raise UnparsedNamesError(named.unparsed)


def spec_fields(name: ParsedName | None) -> dict[str, Any]:
    """Return what a name adds to a job spec: metadata, and of a well its name and its place on the plate."""
    if name is None:
        return {}
    fields: dict[str, Any] = {"metadata": name.fields()}
    if name.well is not None:
        well = Well.parse(name.well)
        fields |= {"substream_id": name.well, "location": [well.row, well.column]}
    return fields
