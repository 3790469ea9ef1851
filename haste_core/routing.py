"""Task keys, sites, queues, and the URLs by which sites name the same file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from haste_core import windows_paths

DEFAULT_SITE = "default"
TASK_EXCHANGE = "haste.tasks"
CONTROL_EXCHANGE = "haste.control"
RESULT_QUEUE = "haste.results"
DEAD_LETTER_QUEUE = "haste.dead"

MAX_MESSAGE_BYTES = 8 * 2**20
"""The largest message that programs send one another.

RabbitMQ takes 16 MiB (4.x) or 128 MiB (before) unless it is told otherwise, the embedded broker's pipes
64 MiB. A broker that gets more closes the connection; handed out again, the message would do so for ever.
"""

SOURCE_SCHEMES = frozenset({"root", "file", "http", "https", "s3", "swift"})

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


def normalise_name(name: str) -> str:
    """Bring a task key or a site to its stored, lower-case form.

    Raises
    ------
    ValueError
        If it does not match ``[a-z0-9][a-z0-9_-]{0,99}`` in any case.
    """
    lowered = name.strip().lower()
    if not _NAME.fullmatch(lowered):
        raise ValueError(
            f"{name!r} is not a name: at most 100 letters, digits, '-' and '_', a letter or digit first"
        )
    return lowered


@dataclass(frozen=True, order=True)
class Route:
    """The queue of one task key at one site."""

    task_key: str
    site: str

    @property
    def routing_key(self) -> str:
        """The AMQP routing key, ``<task-key>.<site>``."""
        return f"{self.task_key}.{self.site}"

    @property
    def queue(self) -> str:
        """The name of the durable queue that is bound with exactly this routing key."""
        return f"haste.{self.routing_key}"


class OutsideRootsError(ValueError):
    """The path or URL lies in none of the named roots."""


class NoFileNameError(OutsideRootsError):
    """The URL names what can be no file on this system: a device, a part of a file, or another spelling."""


@dataclass(frozen=True)
class Roots:
    r"""The folders of one site, by the names under which all sites know them.

    ``root://nas/plate7/A01.tif`` is ``/mnt/nas/plate7/A01.tif`` where ``nas`` is ``/mnt/nas``, and
    ``Z:\\plate7\\A01.tif`` on the microscope's PC where it is ``Z:\\``.
    """

    folders: Mapping[str, PurePath]

    @classmethod
    def parse(cls, folders: Mapping[str, str | PurePath]) -> Self:
        """Read a mapping of root names to POSIX, drive or UNC paths."""
        return cls({normalise_name(name): _pure_path(path) for name, path in folders.items()})

    def url_of(self, path: PurePath) -> str:
        """Name a local path by the root that fits it best, or as ``file://`` if none does."""
        path = _pure_path(path)
        fits = [
            (name, folder)
            for name, folder in self.folders.items()
            if _same_flavour(folder, path) and path.is_relative_to(folder)
        ]
        if not fits:
            return file_url(path)
        name, folder = max(fits, key=lambda fit: len(fit[1].parts))
        return f"root://{name}/{quote(path.relative_to(folder).as_posix())}"

    def path_of(self, url: str) -> PurePath:
        """Find the local path that a ``root://`` or ``file://`` URL names here.

        This is arithmetic on names: whoever opens the file must still resolve links and compare again.

        Raises
        ------
        OutsideRootsError
            If the root is not known here, or the path leaves the roots.
        NoFileNameError
            If no file of Windows, where the root is there, can be called so.
        """
        parts = urlsplit(url)
        if parts.scheme == "root":
            return self._below_root(url, parts.netloc, unquote(parts.path).lstrip("/"))
        if parts.scheme == "file":
            path = path_from_file_url(url)
            if ".." not in path.parts and self.contains(path):
                _refuse_no_file(url, path)
                return path
        raise OutsideRootsError(f"{url} is outside the folders that may be read here ({self})")

    def contains(self, path: PurePath) -> bool:
        """Tell whether a path lies in one of the roots."""
        return any(
            _same_flavour(folder, path) and path.is_relative_to(folder) for folder in self.folders.values()
        )

    def _below_root(self, url: str, name: str, relative: str) -> PurePath:
        folder = self.folders.get(name.lower())
        if folder is None:
            raise OutsideRootsError(f"{url}: there is no root {name!r} here (known: {self})")
        path = folder / type(folder)(relative)
        if ".." in path.parts or not path.is_relative_to(folder):
            raise OutsideRootsError(f"{url} leaves its root")
        _refuse_no_file(url, path)
        return path

    def __str__(self) -> str:
        return ", ".join(f"{name}={folder}" for name, folder in self.folders.items()) or "none"


def file_url(path: PurePath) -> str:
    """Write an absolute path as a ``file://`` URL, percent-encoded."""
    return windows_paths.file_url(str(path)) if isinstance(path, PureWindowsPath) else path.as_uri()


def path_from_file_url(url: str) -> PurePath:
    """Read a ``file://`` URL: POSIX, ``file:///C:/...`` or ``file://server/share/...`` (UNC)."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    return _pure_path(windows_paths.path_in_file_url(parts.netloc, path) or path)


def _pure_path(path: str | PurePath) -> PurePath:
    text = str(path)
    if isinstance(path, PureWindowsPath):
        return type(path)(windows_paths.plain(text))
    if isinstance(path, PurePath):
        return path
    if windows_paths.is_windows_path(text):
        return PureWindowsPath(windows_paths.plain(text))
    return PurePosixPath(text)


def _refuse_no_file(url: str, path: PurePath) -> None:
    names = path.parts[1:] if isinstance(path, PureWindowsPath) else ()
    for name in names:
        trouble = windows_paths.trouble_with_name(name)
        if trouble:
            raise NoFileNameError(f"{url}: Windows has no file that is called {name!r}: {trouble}")


def _same_flavour(first: PurePath, second: PurePath) -> bool:
    return isinstance(first, PureWindowsPath) == isinstance(second, PureWindowsPath)
