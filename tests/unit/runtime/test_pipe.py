"""The frames on a worker's pipe read back as they were written, and rubbish is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_core.routing import Route
from haste_runtime.frames import FrameError
from haste_runtime.pipe import (
    Hello,
    PipeFrame,
    PresenceFrame,
    ResultFrame,
    RevocationFrame,
    TaskFrame,
    UnreadableFrame,
    parse_frame,
)

_TAGS = st.integers(0, 2**64 - 1)
_FRAMES = st.one_of(
    st.builds(
        Hello,
        st.lists(st.builds(Route, st.text(max_size=9), st.text(max_size=9)), max_size=3).map(tuple),
        st.integers(0, 1000),
    ),
    st.builds(TaskFrame, _TAGS, st.booleans(), st.binary(max_size=20)),
    st.builds(ResultFrame, _TAGS, st.binary(max_size=20)),
    st.builds(UnreadableFrame, _TAGS),
    st.builds(PresenceFrame, st.binary(max_size=20)),
    st.builds(RevocationFrame, st.binary(max_size=20)),
)


@given(frame=_FRAMES)
def test_every_frame_reads_back(frame: PipeFrame) -> None:
    assert parse_frame(frame.encode()) == frame


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"?",
        b"T",
        b"R123",
        b"X",
        b"X123456789",
        b"H",
        b"Hnull",
        b'H{"v":1}',
        b'H{"v":1,"routes":[["a"]]}',
    ],
)
def test_rubbish_is_refused(content: bytes) -> None:
    with pytest.raises(FrameError):
        parse_frame(content)


def test_a_hello_of_another_release_is_refused_with_the_reason() -> None:
    with pytest.raises(FrameError, match="another release"):
        parse_frame(b'H{"v":2,"routes":[],"prefetch":1}')
