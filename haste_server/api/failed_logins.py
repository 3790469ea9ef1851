"""How often somebody may try to log in."""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections import OrderedDict

from haste_core.errors import TransientError
from haste_core.ports import Clock
from haste_core.tokens import TokenStore
from haste_server.addresses import plain_address

logger = logging.getLogger(__name__)

MOST = 10  # failures of one address
WITHIN_S = 60.0
_MOST_ADDRESSES = 10_000  # remembered; the oldest are forgotten first
_LONGEST_SITE = 60  # characters
_IPV6_SITE_BITS = 64  # of one customer, who can take any address of it


class FailedLogins:
    """Counts failed logins by address: of all processes and servers that have one database.

    Parameters
    ----------
    store : TokenStore
        Holds the count. While it is away, each process counts for itself.
    clock : callable
    """

    def __init__(self, store: TokenStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._forgot_at = clock()

    def wait_s(self, address: str) -> float:
        """Tell for how long an address may not try again; 0 if it may now."""
        site, now = _site_of(address), self._clock()
        with self._lock:
            recent = self._recent(site)
        if len(recent) < MOST:  # else nobody need be asked, however often somebody tries
            recent = self._of_all(site, recent)
        return 0.0 if len(recent) < MOST else max(0.0, recent[0] + WITHIN_S - now)

    def note(self, address: str) -> None:
        """Take note of a failure."""
        site, now = _site_of(address), self._clock()
        with self._lock:
            self._keep(site, [*self._recent(site), now])
            is_time_to_forget = now - self._forgot_at > WITHIN_S
            if is_time_to_forget:
                self._forgot_at = now
        try:
            self._store.note_failed_login(site, now=now)
            if is_time_to_forget:
                self._store.forget_failed_logins(before=now - WITHIN_S)
        except TransientError as error:
            logger.info("not noted", extra={"action": "failed_login_not_noted", "why": str(error)})

    def _of_all(self, site: str, own: list[float]) -> list[float]:
        """Ask for the failures that all processes have seen, the oldest first."""
        try:
            found = self._store.failed_logins(site, since=self._clock() - WITHIN_S, limit=MOST)
        except TransientError:  # no token can be looked up either
            return own
        if len(found) == MOST:
            with self._lock:
                self._keep(site, found[::-1])
        return max(own, found[::-1], key=len)

    def _keep(self, site: str, failures: list[float]) -> None:
        self._failures[site] = failures[-MOST:]
        self._failures.move_to_end(site)
        while len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)

    def _recent(self, site: str) -> list[float]:
        since = self._clock() - WITHIN_S
        return [at for at in self._failures.get(site, ()) if at > since]


def _site_of(address: str) -> str:
    try:
        parsed = plain_address(address)
    except ValueError:
        return address[:_LONGEST_SITE]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
