"""How often somebody may try to log in."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict

from haste_core.ports import Clock

MOST = 10  # failures of one address
WITHIN_S = 60.0
_MOST_ADDRESSES = 10_000  # remembered; the oldest are forgotten first
_IPV6_SITE_BITS = 64  # of one customer, who can take any address of it


class FailedLogins:
    """Counts failed logins by address, in this process.

    Parameters
    ----------
    clock : callable
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Tell for how long an address may not try again; 0 if it may now."""
        with self._lock:
            recent = self._recent(_site_of(address))
            return 0.0 if len(recent) < MOST else max(0.0, recent[0] + WITHIN_S - self._clock())

    def note(self, address: str) -> None:
        """Take note of a failure."""
        site = _site_of(address)
        with self._lock:
            self._failures[site] = [*self._recent(site), self._clock()][-MOST:]
            self._failures.move_to_end(site)
            while len(self._failures) > _MOST_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, site: str) -> list[float]:
        since = self._clock() - WITHIN_S
        return [at for at in self._failures.get(site, ()) if at > since]


def _site_of(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a socket without one
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
