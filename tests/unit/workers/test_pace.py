"""How fast a worker works."""

import pytest

from haste_workers.pace import LOOKS_BACK_S, Pace


def test_rates_are_those_of_the_last_minute() -> None:
    now = [1000.0]
    pace = Pace(clock=lambda: now[0])
    assert pace.per_s() == {}
    for _ in range(20):
        now[0] += 1
        pace.note("a")
    pace.note("b")

    assert pace.per_s() == {"a": pytest.approx(1.0), "b": pytest.approx(1 / 20)}
    now[0] += LOOKS_BACK_S - 10
    assert pace.per_s() == {"a": pytest.approx(11 / LOOKS_BACK_S), "b": pytest.approx(1 / LOOKS_BACK_S)}
    now[0] += LOOKS_BACK_S
    assert pace.per_s() == {}


def test_one_task_in_the_first_moment_is_no_rate() -> None:
    pace = Pace(clock=lambda: 0.0)
    pace.note("a")

    assert pace.per_s() == {"a": 0.2}
