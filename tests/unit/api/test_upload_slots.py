"""The places for uploads, and who has to leave theirs."""

import io
from typing import Any

import pytest

from haste_core.errors import InvalidError, TransientError
from haste_server.api.slots import LEAST_BYTES_PER_S, PATIENCE_S, UploadSlots


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Trickle(io.RawIOBase):
    """A body that brings bytes at a rate, and nothing any more once it was hung up."""

    def __init__(self, clock: Clock, bytes_per_s: float) -> None:
        self._clock = clock
        self._bytes_per_s = bytes_per_s
        self.was_hung_up = False

    def read(self, size: int = -1, /) -> bytes:
        self._clock.now += size / self._bytes_per_s
        return b"x" * size

    def hang_up(self) -> None:
        self.was_hung_up = True


def no_one() -> None:
    raise AssertionError("nobody is to be hung up on")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slots(clock: Clock) -> UploadSlots:
    return UploadSlots(1, clock=clock)


def ask(slots: UploadSlots) -> None:
    with slots.hold(io.BytesIO(b"abc"), hang_up=no_one) as body:
        assert body.read(3) == b"abc"


def test_who_is_quick_keeps_the_place_and_others_are_put_off(slots: UploadSlots, clock: Clock) -> None:
    quick = Trickle(clock, 2 * LEAST_BYTES_PER_S)
    with slots.hold(quick, hang_up=no_one) as body:
        for _ in range(100):
            body.read(4096)
            with pytest.raises(TransientError, match="1 uploads are under way"):
                ask(slots)
    ask(slots)


def test_who_is_slow_keeps_the_place_as_long_as_nobody_asks_for_it(slots: UploadSlots, clock: Clock) -> None:
    with slots.hold(Trickle(clock, 1), hang_up=no_one) as body:
        for _ in range(20):
            assert len(body.read(1000)) == 1000


def test_who_is_slow_loses_the_place_to_the_next_who_asks(slots: UploadSlots, clock: Clock) -> None:
    slow = Trickle(clock, LEAST_BYTES_PER_S / 3)
    with slots.hold(slow, hang_up=slow.hang_up) as body:
        while not slow.was_hung_up:
            body.read(4096)
            with pytest.raises(TransientError, match="are under way"):
                ask(slots)
        with pytest.raises(TransientError, match="go on with it later"):
            body.read(4096)
    assert 1000 + PATIENCE_S < clock.now < 1000 + 2 * PATIENCE_S
    ask(slots)


def test_a_quick_beginning_is_no_credit_for_ever(slots: UploadSlots, clock: Clock) -> None:
    body_of = Trickle(clock, 1e9)
    with slots.hold(body_of, hang_up=body_of.hang_up) as body:
        body.read(10**7)
        clock.now += PATIENCE_S + 1
        with pytest.raises(TransientError):
            ask(slots)
        assert body_of.was_hung_up


class Ended(io.RawIOBase):
    """A body whose read that was waiting comes back, with what there was or with a fault."""

    def __init__(self, slots: UploadSlots, clock: Clock, left: bytes | Exception) -> None:
        self._slots, self._clock, self._left = slots, clock, left

    def read(self, _size: int = -1, /) -> bytes:
        self._clock.now += PATIENCE_S + 1
        with pytest.raises(TransientError):
            ask(self._slots)
        if isinstance(self._left, Exception):
            raise self._left
        return self._left


@pytest.mark.parametrize("left", [b"rest", b"", OSError("reset"), InvalidError([])])
def test_what_came_before_the_place_was_lost_counts(slots: UploadSlots, clock: Clock, left: Any) -> None:
    with slots.hold(Ended(slots, clock, left), hang_up=lambda: None) as body:
        if left == b"rest":
            assert body.read(10) == b"rest"
        with pytest.raises(TransientError, match="go on with it later"):
            body.read(10)
