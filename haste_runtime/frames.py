"""Length-prefixed frames on blocking binary streams: four bytes of length (big-endian), then the content."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import BinaryIO

import structlog

log = structlog.get_logger(__name__)

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""A longer frame is taken for garbage on the stream; a job with its responses is a few kilobytes."""

_READ_BYTES = 256 * 1024
_LENGTH = struct.Struct(">I")


class FrameError(ValueError):
    """The bytes on the stream are no frames: something else wrote to it, or it was cut off."""


class FrameReader:
    """Reads frames from a blocking stream, all that one read brings at a time.

    Parameters
    ----------
    stream : binary file
        Buffered or raw. Take a raw one where the thread that reads may still wait for the stream when the
        interpreter ends: the lock of a buffered one would abort it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        # A plain read(n) of a buffered stream would wait until n bytes are there.
        self._read = getattr(stream, "read1", stream.read)
        self._buffer = bytearray()

    def read(self) -> list[bytes]:
        """Wait for frames and return them, at least one; an empty list at the end of the stream.

        Raises
        ------
        FrameError
            If a frame is longer than `MAX_FRAME_BYTES`, or the stream ends inside one.
        """
        while not (frames := self._complete_frames()):
            piece = self._read(_READ_BYTES)
            if not piece:
                if self._buffer:
                    raise FrameError(f"the stream ended inside a frame, {len(self._buffer)} bytes into it")
                return []
            self._buffer += piece
        return frames

    def _complete_frames(self) -> list[bytes]:
        frames, start = [], 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes: this is no frame, or far too long")
            end = start + _LENGTH.size + length
            if end > len(self._buffer):
                break
            frames.append(bytes(self._buffer[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return frames


def write_frames(stream: BinaryIO, frames: Iterable[bytes]) -> None:
    """Write frames to a blocking stream, all together, and flush it.

    Raises
    ------
    FrameError
        If a frame is longer than `MAX_FRAME_BYTES`; nothing is written then.
    """
    pieces: list[bytes] = []
    for frame in frames:
        check_length(frame)
        pieces += (_LENGTH.pack(len(frame)), frame)
    rest = memoryview(b"".join(pieces))
    while rest:  # a raw stream may take only a part
        rest = rest[stream.write(rest) :]
    stream.flush()


def check_length(frame: bytes) -> None:
    """Check that a frame may be sent.

    Raises
    ------
    FrameError
        If it is longer than `MAX_FRAME_BYTES`.
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise FrameError(f"a message of {len(frame)} bytes is too long to be sent (limit {MAX_FRAME_BYTES})")


class FrameSender:
    """Sends frames from a thread of its own, so that nobody who has something to send waits for the reader.

    What gathers while one write is under way goes out together with the next.

    Parameters
    ----------
    stream : binary file
        Blocking; closed by the sender, at `close` or as soon as the other side is gone.
    name : str
        Of the thread.
    """

    def __init__(self, stream: BinaryIO, *, name: str) -> None:
        self._stream = stream
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to send; frames given before are sent first."""
        self._thread.start()

    def send(self, frames: Sequence[bytes]) -> None:
        """Send frames in order; thread-safe, returns at once. Frames for a closed stream are dropped.

        Raises
        ------
        FrameError
            If a frame is longer than `MAX_FRAME_BYTES`; nothing is sent then.
        """
        for frame in frames:
            check_length(frame)
        with self._changed:
            if not self._closing:
                self._waiting += frames
                self._changed.notify()

    def close(self) -> None:
        """Send what waits, close the stream and end; returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait until the stream is closed; False if it is not yet, because the other side does not read."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while frames := self._next_frames():
                write_frames(self._stream, frames)
        except OSError as error:
            log.info("the other side of a pipe is gone", action="pipe_broken", why=str(error))
        finally:
            self.close()
            with suppress(OSError):  # what a broken pipe did not take cannot be flushed either
                self._stream.close()

    def _next_frames(self) -> list[bytes]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            frames, self._waiting = self._waiting, []
            return frames
