"""Group commit: what several threads store at the same time shares one transaction."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from haste_core.errors import TransientError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class GroupCommit(Generic[Item, Answer]):
    """Runs one transaction at a time; items that come meanwhile wait, and go into the next together.

    A lone item waits for nobody. The more come at a time, the fewer transactions each of them costs.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Item, Future[Answer]]] = deque()
        self._turn = threading.Lock()

    def run(self, item: Item, store: Callable[[Sequence[Item]], Sequence[Answer]]) -> Answer:
        """Store an item, perhaps together with those of other threads.

        Parameters
        ----------
        store : callable
            Stores all items that it is given or, if it raises, none. It answers in their order.

        Raises
        ------
        TransientError
            If the transaction could not be made.
        Exception
            What `store` raises for this item alone.
        """
        future: Future[Answer] = Future()
        self._waiting.append((item, future))
        with self._turn:
            if not future.done():
                self._store_waiting(store)
        fault = future.exception()
        if fault is None or isinstance(fault, TransientError) or not isinstance(fault, Exception):
            return future.result()
        (answer,) = store([item])  # perhaps the fault was another's
        return answer

    def _store_waiting(self, store: Callable[[Sequence[Item]], Sequence[Answer]]) -> None:
        together = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            answers = store([item for item, _ in together])
        except BaseException as error:  # an interrupt too: nobody is to wait for ever
            for _, future in together:
                future.set_exception(error)
        else:
            for (_, future), answer in zip(together, answers, strict=True):
                future.set_result(answer)
