"""What an embedded server and its worker tell each other through a pair of pipes.

Each frame's content begins with one byte that tells its kind:

====== ================= ====================================================================
kind   direction         what follows
====== ================= ====================================================================
``H``  worker to server  JSON: which tasks the worker takes, and how many at a time
``T``  server to worker  delivery tag (8 bytes), 1 if delivered before else 0, task messages
``R``  worker to server  delivery tag (8 bytes) of the task, result
``X``  worker to server  delivery tag (8 bytes) of a task message that the worker cannot read
``P``  worker to server  presence
``V``  server to worker  attempts that shall be stopped
====== ================= ====================================================================

Numbers are unsigned and big-endian; messages are the JSON of `haste_core.messages`, those of tasks as in
`haste_runtime.batches`. Either side says goodbye
by closing its stream.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Self

from haste_core.routing import Route
from haste_runtime.frames import FrameError

_VERSION = 1
_TAG = struct.Struct(">Q")
_TAG_AND_FLAG = struct.Struct(">Q?")


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker takes tasks of these routes, at most `prefetch` unreported at a time."""

    routes: tuple[Route, ...]
    prefetch: int

    def encode(self) -> bytes:
        """Write the frame's content."""
        routes = [[route.task_key, route.site] for route in self.routes]
        return b"H" + json.dumps({"v": _VERSION, "routes": routes, "prefetch": self.prefetch}).encode()

    @classmethod
    def parse(cls, rest: bytes) -> Self:
        """Read the frame's content after its kind."""
        content = json.loads(rest)
        if content["v"] != _VERSION:
            raise FrameError(
                f"the worker is of another release than the server (pipe version {content['v']})"
            )
        return cls(tuple(Route(key, site) for key, site in content["routes"]), int(content["prefetch"]))


@dataclass(frozen=True, slots=True)
class TaskFrame:
    """Tasks on their way to a worker; `tag` names this delivery."""

    tag: int
    redelivered: bool
    body: bytes

    def encode(self) -> bytes:
        """Write the frame's content."""
        return b"T" + _TAG_AND_FLAG.pack(self.tag, self.redelivered) + self.body

    @classmethod
    def parse(cls, rest: bytes) -> Self:
        """Read the frame's content after its kind."""
        tag, redelivered = _TAG_AND_FLAG.unpack_from(rest)
        return cls(tag, redelivered, rest[_TAG_AND_FLAG.size :])


@dataclass(frozen=True, slots=True)
class ResultFrame:
    """A result of one of the tasks of the delivery `tag`."""

    tag: int
    body: bytes

    def encode(self) -> bytes:
        """Write the frame's content."""
        return b"R" + _TAG.pack(self.tag) + self.body

    @classmethod
    def parse(cls, rest: bytes) -> Self:
        """Read the frame's content after its kind."""
        (tag,) = _TAG.unpack_from(rest)
        return cls(tag, rest[_TAG.size :])


@dataclass(frozen=True, slots=True)
class UnreadableFrame:
    """The worker cannot read one of the task messages of the delivery `tag`."""

    tag: int

    def encode(self) -> bytes:
        """Write the frame's content."""
        return b"X" + _TAG.pack(self.tag)

    @classmethod
    def parse(cls, rest: bytes) -> Self:
        """Read the frame's content after its kind."""
        (tag,) = _TAG.unpack(rest)
        return cls(tag)


@dataclass(frozen=True, slots=True)
class PresenceFrame:
    """A worker's heartbeat."""

    body: bytes

    def encode(self) -> bytes:
        """Write the frame's content."""
        return b"P" + self.body

    @classmethod
    def parse(cls, rest: bytes) -> Self:
        """Read the frame's content after its kind."""
        return cls(rest)


@dataclass(frozen=True, slots=True)
class RevocationFrame:
    """Attempts that the worker shall stop, if it has them."""

    body: bytes

    def encode(self) -> bytes:
        """Write the frame's content."""
        return b"V" + self.body

    @classmethod
    def parse(cls, rest: bytes) -> Self:
        """Read the frame's content after its kind."""
        return cls(rest)


PipeFrame = Hello | TaskFrame | ResultFrame | UnreadableFrame | PresenceFrame | RevocationFrame

_KINDS: dict[bytes, type[PipeFrame]] = {
    b"H": Hello,
    b"T": TaskFrame,
    b"R": ResultFrame,
    b"X": UnreadableFrame,
    b"P": PresenceFrame,
    b"V": RevocationFrame,
}


def parse_frame(content: bytes) -> PipeFrame:
    """Read a frame's content.

    Raises
    ------
    FrameError
        If it is none of the kinds above: the other side is not our program, or of another release.
    """
    kind, rest = content[:1], content[1:]
    if kind not in _KINDS:
        raise FrameError(f"a frame of unknown kind {kind!r}")
    try:
        return _KINDS[kind].parse(rest)
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise FrameError(f"a frame of kind {kind!r} that cannot be read: {error}") from error
