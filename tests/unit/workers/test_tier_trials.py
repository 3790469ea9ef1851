"""What a worker tells about its tiers: whether it can write to them."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from haste_core.errors import PermanentError
from haste_workers.tiers.posix import PosixTierStorage
from haste_workers.tiers.storage import TierStorage
from haste_workers.tiers.trials import AGAIN_AFTER_S, AGAIN_AFTER_TROUBLE_S, SILENCE_S, TierTrials
from tests.waiting import wait_for


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def folder(root: Path) -> Callable[[], TierStorage]:
    return lambda: PosixTierStorage(root)


def told(trials: TierTrials, name: str, *, trouble: bool) -> str:
    """Wait until a tier is told to be well, or in trouble."""
    wait_for(lambda: bool(trials.troubles().get(name, "" if trouble else "?")) is trouble)
    return trials.troubles()[name]


def test_each_tier_is_told_as_it_is(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "A").mkdir()
    trials = TierTrials({name: folder(tmp_path / name) for name in "AB"}, clock=clock)

    assert told(trials, "A", trouble=False) == ""
    assert "is the share mounted?" in told(trials, "B", trouble=True)
    assert list((tmp_path / "A").rglob("*.part")) == []


def test_trouble_that_ends_is_seen_soon_and_trouble_that_comes_later(tmp_path: Path, clock: Clock) -> None:
    trials = TierTrials({"A": folder(tmp_path / "A")}, clock=clock)
    told(trials, "A", trouble=True)

    (tmp_path / "A").mkdir()
    clock.now = AGAIN_AFTER_TROUBLE_S - 1
    trials.troubles()
    assert trials.troubles()["A"] != ""
    clock.now = AGAIN_AFTER_TROUBLE_S
    assert told(trials, "A", trouble=False) == ""

    (tmp_path / "A").rename(tmp_path / "away")
    clock.now += AGAIN_AFTER_S
    assert "mounted" in told(trials, "A", trouble=True)


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """Return an event that lets what hangs go on."""
    event = threading.Event()
    yield event
    event.set()


def test_a_tier_that_hangs_is_told_and_holds_nothing_up(
    tmp_path: Path, clock: Clock, end: threading.Event
) -> None:
    def hang() -> TierStorage:
        end.wait()
        raise PermanentError("it was away")

    trials = TierTrials({"hung": hang, "A": folder(tmp_path)}, clock=clock)
    told(trials, "A", trouble=False)
    assert "hung" not in trials.troubles()

    clock.now = SILENCE_S + 1
    assert "has not answered for 31 s" in trials.troubles()["hung"]
    threads = threading.active_count()
    trials.troubles()
    assert threading.active_count() == threads  # one trial of a tier at a time
    end.set()
    wait_for(lambda: trials.troubles()["hung"] == "it was away")
