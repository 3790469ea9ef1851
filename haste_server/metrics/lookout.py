"""What takes long to find out, or may never be found out, keeps nobody waiting."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from haste_core.errors import TransientError
from haste_core.ports import Clock

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

_TIMES_AS_LONG = 10.0  # so that all who look take a tenth of one core


class Lookout(Generic[Value]):
    """Finds something out in a thread of its own, one look at a time, and only when asked.

    What was found is kept for ten times as long as that took.

    Parameters
    ----------
    look : callable
        May raise, or hang.
    clock : callable
    patience_s : float
        Longest time for which who asks waits.
    """

    def __init__(self, look: Callable[[], Value], *, clock: Clock, patience_s: float) -> None:
        self._look = look
        self._clock = clock
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._under_way: threading.Event | None = None
        self._value: Value | None = None
        self._found_at: float | None = None
        self._fresh_s = 0.0

    def get(self, *, or_former: bool = False) -> Value | None:
        """Return what is found out; None if that failed, or is still under way when patience ends.

        Parameters
        ----------
        or_former : bool
            What was found before does, if the present look is still under way.
        """
        with self._lock:
            if self._is_fresh():
                return self._value
            looking = self._under_way or self._begin()
        if looking.wait(self._patience_s) or or_former:
            return self._value
        return None

    def _is_fresh(self) -> bool:
        if self._found_at is None or self._under_way is not None:
            return False
        return 0 <= self._clock() - self._found_at < self._fresh_s

    def _begin(self) -> threading.Event:
        self._under_way = looking = threading.Event()
        threading.Thread(target=self._run, args=(looking,), name="lookout", daemon=True).start()
        return looking

    def _run(self, looking: threading.Event) -> None:
        began = self._clock()
        value = None
        try:
            value = self._look()
        except TransientError as error:
            logger.info("nothing seen: %s", error, extra={"action": "lookout_failed"})
        except Exception:  # a fault of ours must not hide all else from those who watch
            logger.exception("nothing seen", extra={"action": "lookout_failed"})
        with self._lock:
            self._value = value
            self._found_at = self._clock()
            self._fresh_s = _TIMES_AS_LONG * max(0.0, self._found_at - began)
            self._under_way = None
        looking.set()
