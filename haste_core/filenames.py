"""What the name of an image's file says: plate, well, site, channel, focus plane, time point."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from haste_core.backtracking import explosive_repeat
from haste_core.errors import InvalidError, Problem
from haste_core.findings import problems_of
from haste_core.wells import COLUMNS, Well, row_number

GROUPS = ("plate", "well", "row", "column", "well_number", "site", "channel", "z", "t")
"""Names of groups in a regular expression. A well is `well`, or `row` and `column`, or `well_number`."""

MAX_CHARACTERS = 255
"""Of a path that is read, as long as a source_id may be. It bounds the time that an expression needs."""

FOLDERS_READ = 3
"""How many folders above a name may tell its plate: ``plate7/TimePoint_1/ZStep_2``."""

_WHOLE_NUMBER = re.compile(r"-?\d{1,18}")


@dataclass(frozen=True)
class ParsedName:
    """What a file's name says about its image; None where it says nothing.

    Attributes
    ----------
    plate : str
        The plate, or what stands for it: a grid, a vessel, a folder.
    well : str
        ``A01`` to ``AF48``.
    site : int or str
        A field of the well, or what stands for it: a tilt series, a foil hole.
    channel : str
        A name, or a number without leading zeros.
    z, t : int or str
        Focus plane and time point, as the microscope counts them; a text if the name holds a time.
    """

    plate: str | None = None
    well: str | None = None
    site: int | str | None = None
    channel: str | None = None
    z: int | str | None = None
    t: int | str | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.fields().items())

    def fields(self) -> dict[str, int | str]:
        """Return what is known, by the attribute's name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def _readable(pattern: str) -> str:
    try:
        groups = re.compile(pattern, re.IGNORECASE).groupindex
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    unknown = [group for group in groups if group.lower() not in GROUPS]
    if unknown:
        raise ValueError(f"{pattern!r} names the group {unknown[0]!r}; groups are {', '.join(GROUPS)}")
    explosive = explosive_repeat(pattern)
    if explosive:
        raise ValueError(
            f"{pattern!r} may take for ever: {explosive!r} repeats a group that itself repeats or chooses"
        )
    return pattern


def _names_something(pattern: str) -> str:
    if not re.compile(pattern).groupindex:
        raise ValueError(f"{pattern!r} names no group, such as (?P<well>[A-P]\\d\\d)")
    return pattern


_Readable = Annotated[str, Field(max_length=1000), AfterValidator(_readable)]


class NamePattern(BaseModel):
    r"""How the files of a microscope are named.

    Attributes
    ----------
    name : str
    description : str
    patterns : tuple of str
        Regular expressions with the groups `GROUPS`, in any case. The first one that is found in a file's
        path, with ``/`` between folders, counts; upper and lower case are the same. ``^`` and ``$`` stand for
        the path's ends.
    ignore : tuple of str
        Regular expressions of files that are no images of the experiment, such as thumbnails.
    plate_columns : int, optional
        Columns of the plate, if wells are numbered along its rows (the group `well_number`).
    single_site : int, optional
        The site of a name that has a well but no site, if the microscope leaves it out where there is one
        only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    patterns: tuple[Annotated[_Readable, AfterValidator(_names_something)], ...]
    ignore: tuple[_Readable, ...] = ()
    plate_columns: int | None = Field(default=None, ge=1, le=COLUMNS)
    single_site: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        if not self.patterns:
            raise ValueError("'patterns' is empty")
        for expression in self._compiled:
            groups = {group.lower() for group in expression.groupindex}
            if ("row" in groups) != ("column" in groups):
                raise ValueError(f"{expression.pattern!r}: 'row' and 'column' make a well only together")
            if "well_number" in groups and self.plate_columns is None:
                raise ValueError("'well_number' needs plate_columns: 12 of 96 wells, 24 of 384, 48 of 1536")
        return self

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a pattern from decoded YAML or JSON; raises InvalidError with every problem that it has."""
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise InvalidError(problems_of(error)) from error

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern, re.IGNORECASE) for pattern in self.patterns)

    @cached_property
    def _ignored(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern, re.IGNORECASE) for pattern in self.ignore)

    def ignores(self, path: str) -> bool:
        """Tell whether a path names no image of the experiment, but a thumbnail or the like."""
        return any(expression.search(path) for expression in self._ignored)

    def parse(self, path: str) -> ParsedName | None:
        """Read the path of a file, relative to the experiment's folder and with ``/``.

        Returns
        -------
        ParsedName or None
            None if the path does not fit, names an impossible well, says nothing, or is longer than
            `MAX_CHARACTERS`.
        """
        return self._read(path) if len(path) <= MAX_CHARACTERS else None

    def plate_above(self, path: str, name: ParsedName, folder: str) -> str | None:
        """Tell the plate of a name that tells none by the folder that its path is relative to.

        Parameters
        ----------
        path : str
        name : ParsedName
            What `parse` made of it.
        folder : str
            With ``/`` between folders; no more than `FOLDERS_READ` of them are read.

        Returns
        -------
        str or None
            Where the expressions find it in the folders' names, else the folder's own name. None if it has
            none.
        """
        above = [part for part in folder.split("/") if part][-FOLDERS_READ:]
        for number in range(1, len(above) + 1):
            beginning = "/".join(above[-number:])
            read = self._read(f"{beginning}/{path}") if len(beginning) <= MAX_CHARACTERS else None
            # What else is read then may come from the folders: the well of a folder's name is not the file's.
            if read and read.plate and name.fields().items() <= read.fields().items():
                return read.plate
        return above[-1] if above else None

    def _read(self, path: str) -> ParsedName | None:
        for expression in self._compiled:
            found = expression.search(path)
            if found:
                said = {name.lower(): text for name, text in found.groupdict().items() if text}
                return self._parsed(said)
        return None

    def _parsed(self, said: Mapping[str, str]) -> ParsedName | None:
        try:
            well = self._well(said)
        except ValueError:
            return None
        channel = said.get("channel")
        site = _number_or_text(said.get("site"))
        parsed = ParsedName(
            plate=said.get("plate"),
            well=None if well is None else str(well),
            site=self.single_site if site is None and well is not None else site,
            channel=None if channel is None else str(_number_or_text(channel)),
            z=_number_or_text(said.get("z")),
            t=_number_or_text(said.get("t")),
        )
        return parsed if parsed.fields() else None

    def _well(self, said: Mapping[str, str]) -> Well | None:
        if "well" in said:
            return Well.parse(said["well"])
        if "row" in said and "column" in said:
            return Well(row_number(said["row"]), int(said["column"]))
        if "well_number" in said and self.plate_columns:
            return Well.numbered(int(said["well_number"]), self.plate_columns)
        return None


def _number_or_text(text: str | None) -> int | str | None:
    return int(text) if text and _WHOLE_NUMBER.fullmatch(text) else text


@dataclass(frozen=True)
class NamesRead:
    """What came of reading many names.

    Attributes
    ----------
    parsed : dict of ParsedName
        By path.
    ignored : tuple of str
        Paths of thumbnails and the like.
    unparsed : tuple of Problem
        `where` is the path: those that do not fit, and those that say the same as another one.
    """

    parsed: dict[str, ParsedName]
    ignored: tuple[str, ...]
    unparsed: tuple[Problem, ...]


class NameReader:
    """Reads the names of one stream, all at once or as they come; what it has read it remembers.

    Parameters
    ----------
    pattern : NamePattern
    folder : str
        That the paths are relative to, with ``/`` between folders: it tells the plate where names do not.
    """

    def __init__(self, pattern: NamePattern, folder: str = "") -> None:
        self._pattern = pattern
        self._folder = folder
        self._paths: defaultdict[ParsedName, set[str]] = defaultdict(set)

    def read(self, paths: Iterable[str]) -> NamesRead:
        """Read names; two that say the same are both unparsed, or the second one, if it comes later."""
        listed = list(paths)
        ignored = tuple(path for path in listed if self._pattern.ignores(path))
        left_out = set(ignored)
        found = {path: self._parsed(path) for path in listed if path not in left_out}
        for path, name in found.items():
            if name:
                self._paths[name].add(path)
        problems = {path: self._problem(path, name) for path, name in found.items()}
        return NamesRead(
            {path: name for path, name in found.items() if name and not problems[path]},
            ignored,
            tuple(Problem(path, what) for path, what in problems.items() if what),
        )

    def _parsed(self, path: str) -> ParsedName | None:
        name = self._pattern.parse(path)
        if name is None or name.plate is not None:
            return name
        return replace(name, plate=self._pattern.plate_above(path, name, self._folder))

    def _problem(self, path: str, name: ParsedName | None) -> str | None:
        if name is None:
            return f"does not fit the names of {self._pattern.name}"
        others = self._paths[name] - {path}
        return f"says the same as {min(others)} ({name})" if others else None
