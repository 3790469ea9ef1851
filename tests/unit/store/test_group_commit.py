"""Group commit: who stores with whom, and whose fault is whose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest

from haste_core.errors import ConflictError, TransientError
from haste_server.store.group_commit import GroupCommit
from tests.waiting import wait_for


class Transactions:
    """A store that holds the first transaction until it is let go, and knows what each was given."""

    def __init__(self, faults: dict[int, BaseException]) -> None:
        self.made: list[list[int]] = []
        self.begun, self.let_go = Event(), Event()
        self._faults = faults

    def store(self, items: Sequence[int]) -> list[int]:
        """Answer each item with its double."""
        self.made.append(sorted(items))
        self.begun.set()
        assert self.let_go.wait(10)
        for item in items:
            if item in self._faults:
                raise self._faults[item]
        return [2 * item for item in items]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def run_beside_the_first(
    threads: ThreadPoolExecutor, transactions: Transactions, items: Sequence[int]
) -> list[Future[int]]:
    """Store item 0, and the others while its transaction is open."""
    group: GroupCommit[int, int] = GroupCommit()
    first = threads.submit(group.run, 0, transactions.store)
    assert transactions.begun.wait(10)
    others = [threads.submit(group.run, item, transactions.store) for item in items]
    wait_for(lambda: len(group._waiting) == len(items))
    transactions.let_go.set()
    return [first, *others]


def test_items_that_come_while_another_is_stored_go_together(threads: ThreadPoolExecutor) -> None:
    transactions = Transactions({})
    futures = run_beside_the_first(threads, transactions, [1, 2, 3])
    assert [future.result() for future in futures] == [0, 2, 4, 6]
    assert transactions.made == [[0], [1, 2, 3]]


def test_a_fault_is_told_only_to_the_one_whose_it_is(threads: ThreadPoolExecutor) -> None:
    transactions = Transactions({2: ConflictError("taken")})
    first, one, two, three = run_beside_the_first(threads, transactions, [1, 2, 3])
    assert [future.result() for future in (first, one, three)] == [0, 2, 6]
    with pytest.raises(ConflictError, match="taken"):
        two.result()
    assert transactions.made[:2] == [[0], [1, 2, 3]]
    assert sorted(transactions.made[2:]) == [[1], [2], [3]]


def test_an_outage_is_told_to_all_and_nothing_is_tried_again(threads: ThreadPoolExecutor) -> None:
    transactions = Transactions({1: TransientError("the database is not available")})
    first, *others = run_beside_the_first(threads, transactions, [1, 2])
    assert first.result() == 0
    for future in others:
        with pytest.raises(TransientError, match="not available"):
            future.result()
    assert transactions.made == [[0], [1, 2]], "what may have been stored was stored again"


def test_what_an_interrupt_broke_off_is_not_stored_again(threads: ThreadPoolExecutor) -> None:
    transactions = Transactions({1: KeyboardInterrupt()})
    _, one, two = run_beside_the_first(threads, transactions, [1, 2])
    for future in (one, two):
        assert isinstance(future.exception(), KeyboardInterrupt)
    assert transactions.made == [[0], [1, 2]]
