"""Who is there is known, and who is gone is forgotten."""

import pytest
from structlog.testing import capture_logs

from haste_core.messages import Presence
from haste_core.routing import Route
from haste_server.engine.attendance import Attendance, Window

NOW = 1_700_000_000.0
ROUTE = Route("a", "default")


def presence(worker_id: str = "w1", *, clock_ahead_s: float = 0.0, leaving: bool = False) -> Presence:
    return Presence(
        worker_id=worker_id,
        host="scope-pc",
        pid=1,
        keys=("a",),
        site="default",
        slots=2,
        leaving=leaving,
        sent_at=NOW + clock_ahead_s,
    )


@pytest.fixture
def attendance() -> Attendance:
    return Attendance(forget_after_s=30)


def test_a_worker_counts_until_it_leaves_or_falls_silent(attendance: Attendance) -> None:
    for worker_id in ("w1", "w2", "w3"):
        attendance.note(presence(worker_id), now=NOW)
    assert attendance.windows(now=NOW) == {ROUTE: Window(12, together=1, slots=6)}
    attendance.note(presence("w1", leaving=True), now=NOW)
    attendance.note(presence("w2"), now=NOW + 20)
    assert attendance.windows(now=NOW + 31) == {ROUTE: Window(4, together=1, slots=2)}
    assert attendance.windows(now=NOW + 51) == {}


def test_short_tasks_travel_together_and_more_of_them(attendance: Attendance) -> None:
    attendance.note(presence(), now=NOW)
    for _ in range(20):
        attendance.note_duration(ROUTE, 0.002)
    assert attendance.windows(now=NOW) == {ROUTE: Window(50, together=10, slots=2)}
    for _ in range(50):
        attendance.note_duration(ROUTE, 3.0)
    assert attendance.windows(now=NOW) == {ROUTE: Window(4, together=1, slots=2)}


def test_nothing_is_kept_of_those_who_are_gone(attendance: Attendance) -> None:
    for number in range(100):
        attendance.note(presence(f"w{number}"), now=NOW)
        attendance.note_duration(Route(f"key-{number}", "default"), 0.001)
    attendance.note(presence("here"), now=NOW + 20)
    attendance.note_duration(ROUTE, 0.001)
    assert list(attendance.windows(now=NOW + 31)) == [ROUTE]
    assert (list(attendance._seen), list(attendance._durations._mean_s)) == (["here"], [ROUTE])


@pytest.mark.parametrize(("ahead_s", "said"), [(3600.0, "3600.0 s ahead of"), (-45.0, "45.0 s behind")])
def test_a_clock_far_off_is_told_once_with_its_worker(
    attendance: Attendance, ahead_s: float, said: str
) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            attendance.note(presence(clock_ahead_s=ahead_s), now=NOW)
    (line,) = logs
    assert (line["action"], line["log_level"]) == ("worker_clock_off", "warning")
    assert (line["worker_id"], line["host"], line["difference_s"]) == ("w1", "scope-pc", ahead_s)
    assert said in line["event"]


def test_a_clock_that_is_nearly_right_is_no_news(attendance: Attendance) -> None:
    with capture_logs() as logs:
        for ahead_s in (-29.0, 0.0, 29.0):
            attendance.note(presence(clock_ahead_s=ahead_s), now=NOW)
    assert logs == []
