"""Watching a folder: each image is reported once, when it is complete.

The events of the operating system are hints only: they are lost on network drives, and when they come too
fast. What decides is the folder as it is seen, again and again.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from watchdog.events import (
    EVENT_TYPE_CREATED,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_MOVED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from haste_client.containers import CONTAINER_SUFFIX, container_of
from haste_client.directory import IMAGE_SUFFIXES, ImageFile, Selection, look_at, scan
from haste_client.settling import Settling, Unfinished
from haste_client.sidecars import FolderSidecars
from haste_core.errors import Problem
from haste_runtime.folders import deep_folder, shown

DEFAULT_SETTLE_S = 2.0
BATCH_SIZE = 500

# Looking through the whole folder may take at most this share of the time.
_SCAN_SHARE = 0.1

_AWAY_PAUSE_S = 5.0

# In the spellings that programs use; of others the next look through all tells.
_SUFFIXES = sorted(
    {spelled for name in (*IMAGE_SUFFIXES, CONTAINER_SUFFIX) for spelled in (name, name.upper())}
)

_LOOKED_AT = frozenset({EVENT_TYPE_CREATED, EVENT_TYPE_MODIFIED, EVENT_TYPE_MOVED})


@dataclass(frozen=True)
class _Hint:
    source_id: str
    renamed: bool


class FolderWatch:
    """Watches one folder.

    Parameters
    ----------
    directory : Path
    selection : Selection, optional
        Which names count; default: all images, in sub-folders too.
    settle_s : float
        Seconds for which a file must rest before it is looked into; some tenths of one if it was renamed
        into place.
    poll_s : float
        Seconds between two looks; longer for a folder that is so big that looking takes long.
    already : callable, optional
        Tells of files that need no report, for example because they were submitted before a restart.

    Attributes
    ----------
    unreadable : tuple of Problem
        Files and sub-folders that cannot be looked at.
    trouble : str
        Why the folder itself cannot be read just now; empty if it can.
    events_trouble : str
        Why the operating system's events are not used; empty if they are.
    """

    def __init__(
        self,
        directory: Path,
        *,
        selection: Selection | None = None,
        settle_s: float = DEFAULT_SETTLE_S,
        poll_s: float = 0.5,
        already: Callable[[ImageFile], bool] = lambda _file: False,
    ) -> None:
        self._root = deep_folder(directory.resolve())
        self._selection = selection or Selection()
        self._settling = Settling(settle_s)
        self._poll_s = poll_s
        self._already = already
        self._hints: queue.SimpleQueue[_Hint] = queue.SimpleQueue()
        self._woken = threading.Event()
        self._scan_at_s = 0.0
        self._observer = Observer()
        self.unreadable: tuple[Problem, ...] = ()
        self.events_trouble = ""
        self.trouble = ""
        self._was_seen = False
        self._sidecars: Mapping[str, FolderSidecars] = {}

    def __enter__(self) -> Self:
        self._observer.schedule(_Listener(self._hint), str(self._root), recursive=self._selection.recursive)
        try:
            self._observer.start()
        except OSError as error:
            # Too many folders for inotify, or a drive without events: looking again and again still works.
            self.events_trouble = str(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def look(self) -> list[ImageFile]:
        """Look once; return files that have become complete since, at most `BATCH_SIZE`.

        Raises
        ------
        OSError
            If the folder itself cannot be read at the first look. Later this is `trouble`, for a network
            drive that is away comes back.
        """
        now_s = time.monotonic()
        if now_s >= self._scan_at_s:
            self._look_at_all_that_is_there(now_s)
        else:
            for source_id in self._settling.to_look_at(now_s, at_most=BATCH_SIZE):
                self._look_at_one(source_id, now_s)
        self._follow_hints(now_s)
        return self._settling.complete(now_s, at_most=BATCH_SIZE)

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until it is worth looking again."""
        self._woken.wait(self._poll_s if timeout_s is None else timeout_s)
        self._woken.clear()

    @property
    def at_rest(self) -> bool:
        """True if no file of the folder is still to be looked into."""
        return self._settling.at_rest and self._hints.empty()

    def unfinished(self) -> list[Unfinished]:
        """List files that rest, but are not whole images."""
        return self._settling.unfinished(time.monotonic())

    def _look_at_all_that_is_there(self, now_s: float) -> None:
        try:
            self._look_at_all(now_s)
        except OSError as error:
            if not self._was_seen:
                raise
            self.trouble = f"{shown(self._root)} cannot be read now: {error.strerror or error}"
            self._scan_at_s = now_s + _AWAY_PAUSE_S
        else:
            self._was_seen, self.trouble = True, ""

    def _look_at_all(self, now_s: float) -> None:
        before = self._settling.names
        found = scan(self._root, self._selection)
        self.unreadable, self._sidecars = found.unreadable, found.sidecars
        for file in found.files:
            if not self._already(file):
                self._settling.saw(file, now_s)
        self._settling.forget(before - {file.source_id for file in found.files})
        took_s = time.monotonic() - now_s
        self._scan_at_s = now_s + max(self._poll_s, took_s / _SCAN_SHARE)

    def _look_at_one(self, source_id: str, now_s: float, *, renamed: bool = False) -> None:
        markers = self._selection.end_markers
        file = look_at(self._root, source_id, self._sidecars_beside(source_id), markers)
        if file is None:
            self._settling.forget([source_id])
        elif renamed and not self._already(file):
            self._settling.renamed(file, now_s)
        elif not self._already(file):
            self._settling.saw(file, now_s)

    def _sidecars_beside(self, source_id: str) -> FolderSidecars:
        folder = source_id.rpartition("/")[0]
        known = self._sidecars.get(folder)  # one that has come since the last look through all is not
        return known or FolderSidecars(self._root / folder, self._selection.sidecars)

    def _follow_hints(self, now_s: float) -> None:
        while True:
            try:
                hint = self._hints.get_nowait()
            except queue.Empty:
                return
            self._look_at_one(hint.source_id, now_s, renamed=hint.renamed)

    def _hint(self, event: FileSystemEvent) -> None:
        """Take an event, in the observer's thread."""
        if event.event_type not in _LOOKED_AT:
            return
        renamed = event.event_type == EVENT_TYPE_MOVED
        path = Path(os.fsdecode(event.dest_path if renamed else event.src_path))
        if not path.is_relative_to(self._root):
            return  # moved out of the folder
        source_id = path.relative_to(self._root).as_posix()
        container = container_of(source_id)
        if event.is_directory and container is None:
            if event.event_type in (EVENT_TYPE_CREATED, EVENT_TYPE_MOVED):
                self._scan_at_s = 0.0  # its files may have come before it was watched
        elif self._selection.is_end_marker(path.name):
            self._follow_marker(source_id)
        elif self._selection.takes_file(container or source_id):
            # What comes into a container, or is renamed in it, does not mean that all of it is there.
            self._hints.put(_Hint(container or source_id, renamed and container in (None, source_id)))
        else:
            return
        self._woken.set()

    def _follow_marker(self, source_id: str) -> None:
        """Have what an end marker names looked at."""
        folder, slash, name = source_id.rpartition("/")
        if name in self._selection.end_markers.of_folders:
            self._scan_at_s = 0.0
        for image in self._selection.end_markers.images_of(name, _SUFFIXES):
            if self._selection.takes_file(f"{folder}{slash}{image}"):
                self._hints.put(_Hint(f"{folder}{slash}{image}", renamed=False))


class _Listener(FileSystemEventHandler):
    def __init__(self, on_event: Callable[[FileSystemEvent], None]) -> None:
        self._on_event = on_event

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._on_event(event)


def watch(
    directory: Path,
    on_complete: Callable[[list[ImageFile]], None],
    *,
    selection: Selection | None = None,
    settle_s: float = DEFAULT_SETTLE_S,
    poll_s: float = 0.5,
    once: bool = False,
    stop: threading.Event | None = None,
    already: Callable[[ImageFile], bool] = lambda _file: False,
    on_look: Callable[[FolderWatch], None] = lambda _watch: None,
) -> list[Unfinished]:
    """Report the images of a folder as they become complete, each version once.

    Parameters
    ----------
    directory : Path
    on_complete : callable
        Takes a list of up to `BATCH_SIZE` files. If it raises, watching ends.
    selection, settle_s, poll_s, already
        As for `FolderWatch`.
    once : bool
        End when every file that is there is reported, or rests unfinished.
    stop : threading.Event, optional
        Ends the watch when it is set.
    on_look : callable
        Called after each look, for example to show what is unfinished.

    Returns
    -------
    list of Unfinished
        Files that rest, but are not whole images.
    """
    stopped = stop or threading.Event()
    with FolderWatch(
        directory, selection=selection, settle_s=settle_s, poll_s=poll_s, already=already
    ) as folder:
        while not stopped.is_set():
            files = folder.look()
            if files:
                on_complete(files)
            on_look(folder)
            if once and not files and folder.at_rest:
                break
            if not files:
                folder.wait()
        return folder.unfinished()
