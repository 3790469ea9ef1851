"""How fast, and when, files are sent."""

import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from haste_workers.pacing import Hours, SharedPace


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_one_sender_takes_as_long_as_the_limit_says(tmp_path: Path) -> None:
    clock = Clock()
    pace = SharedPace(tmp_path / "pace", 100_000, now=clock, sleep=clock.sleep)
    for _ in range(1000):
        pace.wait_for(1234)
    assert clock.now_s - 1000 == pytest.approx(12.34, abs=0.11)


def test_senders_share_the_limit(tmp_path: Path) -> None:
    """In real time, over the file: three threads with a pace of their own each stand for processes."""
    sent: list[float] = []

    def send() -> None:
        pace = SharedPace(tmp_path / "pace", 1_000_000)
        for _ in range(20):
            pace.wait_for(16_384)
            sent.append(time.monotonic())

    began = time.monotonic()
    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # 60 x 16384 bytes at 1 MB/s; each sender may be a piece of 0.1 s ahead
    assert max(sent) - began > 0.98304 - 0.3


def test_what_was_promised_before_a_restart_of_the_computer_holds_nobody_up(tmp_path: Path) -> None:
    clock = Clock()
    SharedPace(tmp_path / "pace", 100_000, now=clock, sleep=clock.sleep).wait_for(10)
    clock.now_s = 5.0
    later = SharedPace(tmp_path / "pace", 100_000, now=clock, sleep=clock.sleep)
    later.wait_for(10)
    assert clock.now_s == 5.0
    (tmp_path / "pace").write_bytes(b"half")
    later.wait_for(100_000)
    assert clock.now_s == 5.0


@pytest.mark.parametrize(
    ("hours", "at", "opens_in_s"),
    [
        ("18-07", "18:00:00", 0),
        ("18-07", "23:59:59", 0),
        ("18-07", "06:59:59", 0),
        ("18-07", "07:00:00", 11 * 3600),
        ("18-07", "17:59:30", 30),
        ("9:30-17", "09:29:00", 60),
        ("9:30-17", "12:00:00", 0),
        ("9:30-17", "17:00:00", 16.5 * 3600),
        ("00-24:00", None, None),
        ("0-6", "00:00:00", 0),
        ("20-24", "23:59:59", 0),
        ("20-24", "00:00:00", 20 * 3600),
    ],
)
def test_hours(hours: str, at: str | None, opens_in_s: float | None) -> None:
    if at is None:
        with pytest.raises(ValueError, match="begins when it ends"):
            Hours.parse(hours)
    else:
        assert Hours.parse(hours).opens_in_s(datetime.fromisoformat(f"2026-03-01 {at}")) == opens_in_s


@pytest.mark.parametrize("text", ["", "18", "18-25", "18-7:60", "evening-morning", "-1-5"])
def test_what_are_no_hours(text: str) -> None:
    with pytest.raises(ValueError, match="hours such as"):
        Hours.parse(text)
