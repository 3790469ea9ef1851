"""Nobody waits for long, and nobody looks twice at a time."""

import threading
import time

from haste_core.errors import TransientError
from haste_server.metrics.lookout import Lookout


class Place:
    """Somewhere that can be looked at, as slowly as a test wants."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.looks = 0
        self.takes_s = 0.0
        self.error: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def look(self) -> int:
        self.looks += 1
        self.open.wait(20)
        self.now += self.takes_s
        if self.error is not None:
            raise self.error
        return self.looks


def lookout_at(place: Place, patience_s: float = 20.0) -> Lookout[int]:
    return Lookout(place.look, clock=lambda: place.now, patience_s=patience_s)


def test_what_took_long_is_kept_for_ten_times_as_long() -> None:
    place = Place()
    lookout = lookout_at(place)
    place.takes_s = 2.0
    assert lookout.get() == 1
    place.now += 19.9
    assert lookout.get() == 1
    place.now += 0.2
    assert lookout.get() == 2


def test_who_asks_while_a_look_hangs_waits_for_so_long_only_and_begins_none() -> None:
    place = Place()
    lookout = lookout_at(place, patience_s=0.02)
    place.open.clear()

    began = time.monotonic()
    assert [lookout.get() for _ in range(3)] == [None, None, None]
    assert lookout.get(or_former=True) is None
    assert time.monotonic() - began < 5
    assert place.looks == 1
    place.open.set()


def test_what_was_seen_before_stands_in_where_that_is_wanted() -> None:
    place = Place()
    lookout = lookout_at(place)
    assert lookout.get() == 1
    place.open.clear()
    lookout._patience_s = 0.02

    assert lookout.get() is None
    assert lookout.get(or_former=True) == 1
    place.open.set()


def test_trouble_is_not_hidden_behind_what_was_seen_before() -> None:
    place = Place()
    lookout = lookout_at(place)
    assert lookout.get() == 1
    for error in (TransientError("the database is away"), ValueError("a fault")):
        place.error = error
        assert lookout.get(or_former=True) is None
    place.error = None
    assert lookout.get() == 4
