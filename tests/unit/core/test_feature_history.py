"""Values of the past against counting."""

from hypothesis import given
from hypothesis import strategies as st

from haste_core.feature_history import FeatureHistory, Step

VALUES = st.none() | st.integers(0, 5).map(float)
HISTORIES = st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abcdef"), VALUES), max_size=30)


def counted(steps: list[Step], x: float, source_id: str, up_to: int) -> tuple[int, int, int]:
    latest = {name: value for number, name, value in steps if number <= up_to}
    others = [value for name, value in latest.items() if name != source_id and value is not None]
    return sum(value < x for value in others), others.count(x), len(others)


@given(HISTORIES, st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abcdef"), st.integers(0, 70))))
def test_counts_are_those_of_any_moment(
    history: list[tuple[int, str, float | None]], asked: list[tuple[int, str, int]]
) -> None:
    number, steps = 0, []
    for gap, source_id, value in history:
        number += gap
        steps.append((number, source_id, value))
    history = FeatureHistory(iter(steps))
    for x, source_id, up_to in asked:  # forwards and backwards
        assert history.count_others(x, source_id, up_to=up_to) == counted(steps, x, source_id, up_to)


@given(HISTORIES, st.integers(0, 30), st.integers(0, 70))
def test_steps_may_come_later(history: list[tuple[int, str, float | None]], first: int, up_to: int) -> None:
    number, steps = 0, []
    for gap, source_id, value in history:
        number += gap
        steps.append((number, source_id, value))
    history = FeatureHistory(steps[:first])
    history.count_others(1.0, "a", up_to=5)
    history.extend(steps[first:])
    assert history.count_others(2.0, "a", up_to=up_to) == counted(steps, 2.0, "a", up_to)


def test_no_more_is_taken_than_was_asked_for() -> None:
    def steps():
        yield 1, "a", 1.0
        yield 2, "b", 2.0
        raise AssertionError("nobody asked for this")

    assert FeatureHistory(steps()).count_others(1.5, "c", up_to=1) == (1, 0, 1)
