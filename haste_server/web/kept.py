"""What takes long to find out is not found out anew for everybody who looks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeVar

from haste_core.ports import Clock

_TIMES_AS_LONG = 10.0  # so that all who look take a tenth of one core
_MOST = 200  # values

Value = TypeVar("Value")


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    found_at: float | None = None
    fresh_s: float = 0.0


class Kept:
    """Values that are kept for ten times as long as it took to find them out; quick ones are always new.

    Parameters
    ----------
    clock : callable
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._whose: Hashable = None

    def within(self, projects: tuple[str, ...]) -> Kept:
        """Return the same for who may know of some projects only: others' values are not theirs."""
        narrowed = copy(self)
        narrowed._whose = projects
        return narrowed

    def get(self, key: Hashable, find: Callable[[], Value]) -> Value:
        """Return a value that is kept, or find it out; who asks meanwhile waits for it."""
        slot = self._slot(key)
        with slot.lock:
            began = self._clock()
            if slot.found_at is None or not 0 <= began - slot.found_at < slot.fresh_s:
                slot.value = find()
                slot.found_at = self._clock()
                slot.fresh_s = _TIMES_AS_LONG * (slot.found_at - began)
            value: Value = slot.value
            return value

    def _slot(self, key: Hashable) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault((self._whose, key), _Slot())
            self._slots.move_to_end((self._whose, key))
            if len(self._slots) > _MOST:
                self._slots.popitem(last=False)
            return slot
