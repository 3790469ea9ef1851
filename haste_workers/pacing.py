"""Sending slower, and at some hours only: so that a link is left to others."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from haste_runtime.locks import lock_when_free

SLOWEST_PER_S = 20_000
"""Bytes per second below which pieces would come so seldom that a server takes the sender for dead."""

_PIECE_S = 0.1
_SMALLEST_PIECE, _LARGEST_PIECE = 4096, 2**20
_MOST_SENDERS = 32  # who has more is held up less than said, for a moment after a start
_MOMENT = struct.Struct("<d")
_HOURS = re.compile(r"(\d{1,2})(?::(\d{2}))?-(\d{1,2})(?::(\d{2}))?")


class SharedPace:
    """So many bytes per second, for all processes that use one file; in no second more than a piece above it.

    The file tells until when the link is promised. Who wants to send promises it for a piece longer, and
    waits until the piece's turn. So the sum is exact, whoever dies: a promise that nobody uses has gone by
    soon.

    Parameters
    ----------
    file : Path
        Made if it is missing.
    bytes_per_s : int
    """

    def __init__(
        self,
        file: Path,
        bytes_per_s: int,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._file = file
        self._bytes_per_s = bytes_per_s
        self._now = now
        self._sleep = sleep
        self._in_hand = 0
        self._piece = round(min(_LARGEST_PIECE, max(_SMALLEST_PIECE, _PIECE_S * bytes_per_s)))

    def wait_for(self, count: int) -> None:
        """Return when so many bytes may be sent."""
        if count > self._in_hand:
            wanted = max(self._piece, count - self._in_hand)
            self._sleep(self._promise(wanted))
            self._in_hand += wanted
        self._in_hand -= count

    def _promise(self, count: int) -> float:
        """Promise the link for so many bytes, and tell how long to wait before they are sent."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a+b") as file:
            lock_when_free(file)
            file.seek(0)
            written = file.read(_MOMENT.size)
            now = self._now()
            until = _MOMENT.unpack(written)[0] if len(written) == _MOMENT.size else now
            longest_s = _MOST_SENDERS * max(self._piece, count) / self._bytes_per_s
            if not now <= until <= now + longest_s:
                until = now  # long ago, or from before this computer was started
            file.truncate(0)
            file.write(_MOMENT.pack(until + count / self._bytes_per_s))
        return until - now


@dataclass(frozen=True)
class Hours:
    """The hours of each day at which something may be done, by this computer's clock.

    Attributes
    ----------
    begin_min, end_min : int
        Minutes since midnight; an end before the beginning is that of the next day.
    """

    begin_min: int
    end_min: int

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read ``18-07`` or ``18:30-7:15``.

        Raises
        ------
        ValueError
        """
        found = _HOURS.fullmatch(text.strip())
        parts = [int(part or 0) for part in found.groups()] if found else []
        if not parts or max(parts[0], parts[2]) > 24 or max(parts[1], parts[3]) > 59:
            raise ValueError(f"{text[:40]!r} should be hours such as 18-07 or 18:30-7:15")
        begin_min, end_min = (60 * parts[at] + parts[at + 1] for at in (0, 2))
        if begin_min % 1440 == end_min % 1440:
            raise ValueError(f"{text!r} begins when it ends")
        return cls(begin_min % 1440, end_min % 1440)

    def opens_in_s(self, now: datetime) -> float:
        """Tell how long it takes until something may be done; 0: now."""
        minute = 60 * now.hour + now.minute
        since_begin = (minute - self.begin_min) % 1440
        if since_begin < (self.end_min - self.begin_min) % 1440:
            return 0.0
        return 60.0 * (1440 - since_begin) - now.second

    def __str__(self) -> str:
        """Write the hours as `parse` reads them."""
        begin, end = (f"{at // 60:02}:{at % 60:02}" for at in (self.begin_min, self.end_min))
        return f"{begin}-{end}"
