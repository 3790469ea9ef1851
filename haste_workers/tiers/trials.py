"""Whether a worker can put objects to its tiers, before an object has to find out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from haste_core.errors import HasteError
from haste_core.ports import Clock
from haste_workers.tiers.storage import TierStorage

AGAIN_AFTER_S = 300.0
AGAIN_AFTER_TROUBLE_S = 30.0
"""What somebody has just put right is seen soon."""

SILENCE_S = 30.0
"""A tier that has not answered for so long, as a share whose server is away, is told to be in trouble."""

_LONGEST = 500  # characters of a trouble: heartbeats carry it

Open = Callable[[], TierStorage]


@dataclass
class _Trial:
    begun_at: float
    trouble: str | None = None  # not known yet
    due_at: float = float("inf")  # while it is under way


class TierTrials:
    """Tries now and then to write to tiers, each in a thread of its own: a share that is away may hang it.

    Parameters
    ----------
    tiers : mapping of str to callable
        Each opens the tier of that name.
    clock : callable
        In seconds, never going back.
    """

    def __init__(self, tiers: Mapping[str, Open], *, clock: Clock = time.monotonic) -> None:
        self._tiers = tiers
        self._clock = clock
        self._trials: dict[str, _Trial] = {}
        self._known: dict[str, str] = {}

    def troubles(self) -> dict[str, str]:
        """Begin the trials that are due, and tell what is known: by tier what is in the way, or nothing.

        Tiers that were never tried to the end are left out, unless they keep silent.
        """
        now = self._clock()
        for name, open_storage in self._tiers.items():
            trial = self._trials.get(name)
            if trial is None or now >= trial.due_at:
                self._begin(name, open_storage)
            elif trial.trouble is None and now - trial.begun_at > SILENCE_S:
                self._known[name] = f"the tier {name} has not answered for {now - trial.begun_at:.0f} s"
        return dict(self._known)

    def _begin(self, name: str, open_storage: Open) -> None:
        trial = self._trials[name] = _Trial(self._clock())
        work = partial(self._try, name, trial, open_storage)
        threading.Thread(target=work, name=f"trial of tier {name}", daemon=True).start()

    def _try(self, name: str, trial: _Trial, open_storage: Open) -> None:
        try:
            open_storage().try_writing()
            trouble = ""
        except (HasteError, OSError) as error:
            trouble = str(error)[:_LONGEST]
        trial.trouble = self._known[name] = trouble
        trial.due_at = self._clock() + (AGAIN_AFTER_TROUBLE_S if trouble else AGAIN_AFTER_S)
