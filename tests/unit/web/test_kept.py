"""What takes long is kept for a while."""

from dataclasses import dataclass, field

from haste_server.web.kept import Kept


@dataclass
class Finder:
    takes_s: float
    now: float = 0.0
    found: list[float] = field(default_factory=list)

    def find(self) -> int:
        self.now += self.takes_s
        self.found.append(self.now)
        return len(self.found)


def test_a_value_is_kept_for_ten_times_as_long_as_it_took() -> None:
    finder = Finder(takes_s=2.0)
    kept = Kept(clock=lambda: finder.now)

    assert kept.get("a", finder.find) == 1
    finder.now = 21.9
    assert kept.get("a", finder.find) == 1
    assert kept.get("b", finder.find) == 2
    finder.now = 30.0
    assert kept.get("a", finder.find) == 3


def test_what_takes_no_time_is_always_new() -> None:
    finder = Finder(takes_s=0.0)
    kept = Kept(clock=lambda: finder.now)

    assert [kept.get("a", finder.find) for _ in range(3)] == [1, 2, 3]


def test_a_clock_that_is_set_back_keeps_nothing_for_long() -> None:
    finder = Finder(takes_s=1.0, now=1e6)
    kept = Kept(clock=lambda: finder.now)
    kept.get("a", finder.find)
    finder.now = 0.0

    assert kept.get("a", finder.find) == 2


def test_what_was_found_for_some_projects_is_not_told_to_others() -> None:
    finder = Finder(takes_s=2.0)
    kept = Kept(clock=lambda: finder.now)

    values = [one.get("a", finder.find) for one in (kept, kept.within(("lab1",)), kept.within(("lab2",)))]
    assert values == [1, 2, 3]
    assert kept.within(("lab1",)).get("a", finder.find) == 2
