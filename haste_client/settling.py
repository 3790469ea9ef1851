"""When is a file that somebody writes complete? Decided from what was seen of it, and when."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from haste_client.completeness import missing_part
from haste_client.directory import ImageFile

# A file that stays incomplete is opened ever more rarely, for a folder may hold thousands of them.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0

# Who renames a file into place has finished it. A copy's time of change may still be set afterwards.
RENAMED_REST_S = 0.3


@dataclass(slots=True)
class _Watched:
    """A file of which the present version has not been reported yet."""

    file: ImageFile
    unchanged_since_s: float
    seen_at_s: float
    renamed: bool = False
    lacks: str = ""
    pause_s: float = _FIRST_PAUSE_S
    check_at_s: float = 0.0


@dataclass(frozen=True)
class Unfinished:
    """A file that has not changed for a while, but is not a whole image.

    Attributes
    ----------
    file : ImageFile
    lacks : str
        What its structure promises and the file does not hold.
    unchanged_s : float
        For how long it has been so.
    """

    file: ImageFile
    lacks: str
    unchanged_s: float


@dataclass
class Settling:
    """Tells of each version of each file, once, that it is complete.

    A file is complete when it was seen twice with the same size and time of change, its own and those of
    its sidecars, and `settle_s` between, or `RENAMED_REST_S` if it was renamed to its name, and the
    structure of the image is all there. One that an end marker names need not rest. That a writer closes a
    file shortens nothing: programs open and close a stack for each page that they append.

    Parameters
    ----------
    settle_s : float
        Seconds of rest. Longer than the longest pause that the microscope's program makes in one file.
    examine : callable, optional
        Says what a file's structure lacks, or None.
    """

    settle_s: float
    examine: Callable[[Path], str | None] = missing_part
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _reported: dict[str, str] = field(default_factory=dict)

    def saw(self, file: ImageFile, now_s: float) -> None:
        """Note how a file looks now (`now_s` from any monotonic clock)."""
        if self._reported.get(file.source_id) == file.version:
            return
        watched = self._watched.get(file.source_id)
        if watched is None or not watched.file.looks_like(file):
            self._watched[file.source_id] = _Watched(file, now_s, now_s)
        else:
            if file.ended and not watched.file.ended:
                watched.check_at_s = now_s  # what could not be opened then may have been closed since
            watched.file, watched.seen_at_s = file, now_s

    def renamed(self, file: ImageFile, now_s: float) -> None:
        """Note that the file has been given this name, in this very version."""
        self.saw(file, now_s)
        if file.source_id in self._watched:
            self._watched[file.source_id].renamed = True

    @property
    def names(self) -> frozenset[str]:
        """The source_ids of all files that are remembered."""
        return frozenset(self._watched.keys() | self._reported.keys())

    def forget(self, source_ids: Iterable[str]) -> None:
        """Forget files that are gone; one that comes back under its name is new."""
        for source_id in source_ids:
            self._watched.pop(source_id, None)
            self._reported.pop(source_id, None)

    def complete(self, now_s: float, *, at_most: int) -> list[ImageFile]:
        """Take up to `at_most` files that have become complete; each version is returned once."""
        candidates = (entry for entry in self._watched.values() if self._is_complete(entry, now_s))
        finished = [entry.file for entry in itertools.islice(candidates, at_most)]
        for file in finished:
            del self._watched[file.source_id]
            self._reported[file.source_id] = file.version
        return finished

    def unfinished(self, now_s: float) -> list[Unfinished]:
        """List the files that rest, but lack something."""
        return [
            Unfinished(entry.file, entry.lacks, now_s - entry.unchanged_since_s)
            for entry in self._watched.values()
            if entry.lacks
        ]

    def to_look_at(self, now_s: float, *, at_most: int) -> list[str]:
        """Name files that another look would tell about: first those that may be complete by now.

        A folder may hold so many that are waiting that looking at all of them takes longer than they rest.
        """
        due = (name for name, entry in self._watched.items() if self._may_be_complete(entry, now_s))
        chosen = dict.fromkeys(itertools.islice(due, at_most))
        if len(chosen) < at_most:
            others = (name for name in self._watched if name not in chosen)
            chosen |= dict.fromkeys(itertools.islice(others, at_most - len(chosen)))
        return list(chosen)

    @property
    def at_rest(self) -> bool:
        """True if every file is complete, or was looked into and found to lack something."""
        return all(entry.lacks for entry in self._watched.values())

    def _may_be_complete(self, entry: _Watched, now_s: float) -> bool:
        return now_s - entry.unchanged_since_s >= self._rest_s(entry) and now_s >= entry.check_at_s

    def _rest_s(self, entry: _Watched) -> float:
        if entry.file.ended:
            return 0.0
        return min(self.settle_s, RENAMED_REST_S) if entry.renamed else self.settle_s

    def _is_complete(self, entry: _Watched, now_s: float) -> bool:
        rested_s = entry.seen_at_s - entry.unchanged_since_s
        if rested_s < self._rest_s(entry) or now_s < entry.check_at_s:
            return False
        try:
            lacks = self.examine(entry.file.path)
        except OSError as error:
            # Locked by its writer, or gone; both will show.
            lacks = f"it cannot be opened: {error.strerror}"
        if lacks is None:
            return True
        entry.lacks = lacks
        entry.renamed = False
        entry.check_at_s = now_s + entry.pause_s
        entry.pause_s = min(2 * entry.pause_s, _LONGEST_PAUSE_S)
        return False
