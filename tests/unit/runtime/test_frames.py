"""Frames survive any chopping of the stream, and rubbish on it is recognised."""

import io
import os
import threading
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_runtime.frames import MAX_FRAME_BYTES, FrameError, FrameReader, FrameSender, write_frames


class _Dripping(io.RawIOBase):
    """A raw stream that gives, and takes, only a few bytes at a time."""

    def __init__(self, content: bytes = b"", *, at_once: int = 3) -> None:
        self.content = bytearray(content)
        self.at_once = at_once

    def read(self, size: int = -1) -> bytes:
        piece = bytes(self.content[: self.at_once])
        del self.content[: self.at_once]
        return piece

    def write(self, data: object) -> int:
        piece = bytes(cast(bytes, data))[: self.at_once]
        self.content += piece
        return len(piece)


def _binary(stream: io.IOBase) -> BinaryIO:
    return cast(BinaryIO, stream)


def _written(frames: list[bytes]) -> bytes:
    stream = io.BytesIO()
    write_frames(stream, frames)
    return stream.getvalue()


def _all_frames(stream: BinaryIO) -> list[bytes]:
    reader, frames = FrameReader(stream), []
    while batch := reader.read():
        frames += batch
    return frames


@given(frames=st.lists(st.binary(max_size=50), max_size=10), at_once=st.integers(1, 40))
def test_frames_survive_any_chopping(frames: list[bytes], at_once: int) -> None:
    stream = _Dripping(at_once=at_once)
    write_frames(_binary(stream), frames)
    assert bytes(stream.content) == _written(frames)
    assert _all_frames(_binary(stream)) == frames


def test_one_read_brings_all_frames_that_are_there() -> None:
    assert FrameReader(io.BytesIO(_written([b"a", b"", b"ccc"]))).read() == [b"a", b"", b"ccc"]


def test_the_end_of_the_stream_is_the_empty_list() -> None:
    assert FrameReader(io.BytesIO()).read() == []


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_a_stream_that_ends_inside_a_frame_is_an_error(kept: int) -> None:
    reader = FrameReader(io.BytesIO(_written([b"abc"])[:kept]))
    with pytest.raises(FrameError, match="ended inside a frame"):
        reader.read()


def test_text_on_the_stream_is_recognised_before_it_is_waited_for() -> None:
    with pytest.raises(FrameError, match="this is no frame"):
        FrameReader(io.BytesIO(b"Traceback (most recent call last):")).read()


class _Huge(bytes):
    def __len__(self) -> int:
        return MAX_FRAME_BYTES + 1


def test_a_frame_that_is_too_long_is_not_sent() -> None:
    stream = io.BytesIO()
    with pytest.raises(FrameError, match="too long"):
        write_frames(stream, [b"short", _Huge()])
    assert stream.getvalue() == b""


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb"), os.fdopen(writer, "wb")


class TestFrameSender:
    def test_frames_arrive_in_order_and_the_stream_ends(self) -> None:
        reader, writer = _pipe()
        sender = FrameSender(writer, name="test")
        sender.send([b"1"])
        sender.start()
        sender.send([b"2", b"3"])
        sender.close()
        assert _all_frames(reader) == [b"1", b"2", b"3"]
        assert sender.join(timeout_s=5.0)
        reader.close()

    def test_nobody_waits_for_a_reader_that_does_not_read(self) -> None:
        reader, writer = _pipe()
        sender = FrameSender(writer, name="test")
        sender.start()
        frames = [bytes(100_000) for _ in range(20)]  # more than any pipe holds
        for frame in frames:
            sender.send([frame])
        sender.close()
        assert not sender.join(timeout_s=0.05)
        assert _all_frames(reader) == frames
        assert sender.join(timeout_s=5.0)
        reader.close()

    def test_a_reader_that_is_gone_ends_the_sender(self) -> None:
        reader, writer = _pipe()
        sender = FrameSender(writer, name="test")
        sender.start()
        reader.close()
        sender.send([b"1"])
        assert sender.join(timeout_s=5.0)
        sender.send([b"2"])
        assert writer.closed

    def test_many_threads_lose_nothing(self) -> None:
        reader, writer = _pipe()
        sender = FrameSender(writer, name="test")
        sender.start()

        def send(first: int) -> None:
            for number in range(first, first + 500):
                sender.send([b"%d" % number])

        threads = [threading.Thread(target=send, args=(first,)) for first in (0, 500, 1000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sender.close()
        assert sorted(map(int, _all_frames(reader))) == list(range(1500))
        reader.close()
