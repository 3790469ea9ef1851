"""Every message of a window meets exactly one fate, whatever the broker answers."""

from hypothesis import given
from hypothesis import strategies as st

from haste_runtime.confirms import ConfirmWindow, Fate, Outgoing


def _messages(count: int) -> list[Outgoing]:
    return [Outgoing("haste.tasks", "tier.lab1", b"", ref=number) for number in range(count)]


def _sent(window: ConfirmWindow) -> list[int]:
    return [tag for tag, _ in window.pull()]


def _settle(
    window: ConfirmWindow, tag: int, *, multiple: bool = False, confirmed: bool = True
) -> list[object]:
    settled = window.settle(tag, multiple=multiple, confirmed=confirmed)
    return [(message.ref, fate) for message, fate in settled]


def test_no_more_than_the_window_is_sent_until_something_is_settled() -> None:
    window = ConfirmWindow(3)
    window.push(_messages(5))
    assert _sent(window) == [1, 2, 3]
    assert _sent(window) == []
    window.settle(2, multiple=False, confirmed=True)
    assert _sent(window) == [4]


def test_a_confirm_of_several_settles_all_up_to_its_tag() -> None:
    window = ConfirmWindow(10)
    window.push(_messages(4))
    _sent(window)
    assert _settle(window, 3, multiple=True) == [(n, Fate.CONFIRMED) for n in (0, 1, 2)]
    assert len(window) == 1


def test_a_returned_message_is_returned_although_it_is_confirmed() -> None:
    window = ConfirmWindow(10)
    window.push(_messages(3))
    _sent(window)
    window.mark_returned(2)
    assert _settle(window, 3, multiple=True) == [
        (0, Fate.CONFIRMED),
        (1, Fate.RETURNED),
        (2, Fate.CONFIRMED),
    ]


def test_a_refused_message_is_refused() -> None:
    window = ConfirmWindow(10)
    window.push(_messages(1))
    _sent(window)
    assert _settle(window, 1, confirmed=False) == [(0, Fate.REFUSED)]


def test_a_second_confirm_of_the_same_message_changes_nothing() -> None:
    window = ConfirmWindow(10)
    window.push(_messages(1))
    _sent(window)
    assert _settle(window, 1) == [(0, Fate.CONFIRMED)]
    assert _settle(window, 1) == []


def test_tags_begin_again_after_the_connection_broke() -> None:
    window = ConfirmWindow(2)
    window.push(_messages(3))
    _sent(window)
    window.mark_returned(1)
    assert [message.ref for message in window.abandon()] == [0, 1, 2]
    window.push(_messages(1))
    assert _sent(window) == [1]
    assert _settle(window, 1) == [(0, Fate.CONFIRMED)]


@given(
    size=st.integers(1, 5),
    answers=st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.booleans()), max_size=40),
)
def test_every_message_meets_exactly_one_fate(size: int, answers: list[tuple[int, bool, bool]]) -> None:
    window = ConfirmWindow(size)
    window.push(_messages(20))
    fates: list[object] = []
    for tag, multiple, confirmed in answers:
        _sent(window)
        fates += [message.ref for message, _ in window.settle(tag, multiple=multiple, confirmed=confirmed)]
    fates += [message.ref for message in window.abandon()]
    assert sorted(fates, key=str) == sorted(range(20), key=str)
    assert len(window) == 0
