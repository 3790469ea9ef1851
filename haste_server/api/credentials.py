"""Who shows a token, and how often somebody may show a wrong one."""

from __future__ import annotations

import hmac
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

from haste_core.errors import HasteError, TransientError
from haste_core.ports import Clock
from haste_core.tokens import Caller, Scope, TokenRecord, TokenStore, included, sha256_of, work_token_of
from haste_server.api.failed_logins import FailedLogins

logger = logging.getLogger(__name__)

KEPT_S = 2.0  # for so long a revoked token still opens something
_USE_NOTED_S = 60.0
_MOST_KEPT = 10_000  # tokens

ANYONE = Caller("(anyone)", included([Scope.ADMIN]))
"""Whoever asks a server that has no token."""

OF_SETTINGS = Caller("(settings)", included([Scope.ADMIN]))
"""Who shows the token that stands in the server's settings."""

OWN_WORKERS = Caller("(own workers)", included([Scope.WORK]))


class TokenRefusedError(HasteError):
    """The token opens nothing here."""


class TooManyFailuresError(HasteError):
    """There were too many wrong tokens of one address."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__(f"there were too many wrong tokens: try again in {wait_s:.0f} s")


@dataclass(frozen=True)
class _Seen:
    record: TokenRecord
    caller: Caller
    looked_at: float


class Credentials:
    """Recognises tokens; what the store knows of them is kept for `KEPT_S`.

    Parameters
    ----------
    own : str, optional
        The token of the settings.
    tokens : TokenStore
    clock : callable
    """

    def __init__(self, own: str | None, tokens: TokenStore, *, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock
        self._failed = FailedLogins(tokens, clock=clock)
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._seen_by_id: dict[int, _Seen] = {}
        known = {} if own is None else {own: OF_SETTINGS, work_token_of(own): OWN_WORKERS}
        self._own = [(sha256_of(secret), caller) for secret, caller in known.items()]

    def caller_of(self, secret: str, *, address: str, while_away: bool = False) -> Caller:
        """Recognise who shows a token.

        Parameters
        ----------
        secret : str
        address : str
            Where it comes from. One with too many wrong tokens may only show those that are known here
            already: others who come by the same proxy go on.
        while_away : bool
            A token that this process has seen is still known while the database is away.

        Raises
        ------
        TokenRefusedError
        TooManyFailuresError
        TransientError
            If the database is away, and the token is not known here. The settings' token always is.
        """
        sha256 = sha256_of(secret)
        for own, caller in self._own:
            if hmac.compare_digest(own, sha256):
                return caller
        seen, now = self._seen.get(sha256), self._clock()
        if seen is None or not 0 <= now - seen.looked_at < KEPT_S:
            try:
                seen = self._look(sha256, address=address, is_known=seen is not None)
            except TransientError:
                if seen is None or not while_away:
                    raise
        if not seen.record.is_good(now):
            was = "was revoked" if seen.record.revoked_at is not None else "has expired"
            raise TokenRefusedError(
                f"the token {seen.record.name!r} {was}: ask whoever runs the server for one"
            )
        return seen.caller

    def caller_by_id(self, token_id: int | None) -> Caller | None:
        """Recognise who showed a token before; None if it is not good any more.

        Parameters
        ----------
        token_id : int, optional
            None: that of the settings.

        Raises
        ------
        TransientError
            If the database is away.
        """
        if token_id is None:
            return OF_SETTINGS
        seen, now = self._seen_by_id.get(token_id), self._clock()
        if seen is None or not 0 <= now - seen.looked_at < KEPT_S:
            record = self._tokens.token(token_id)  # tokens are never forgotten
            seen = _Seen(record, record.caller, now)
            if len(self._seen_by_id) >= _MOST_KEPT:
                self._seen_by_id.clear()
            self._seen_by_id[token_id] = seen
        return seen.caller if seen.record.is_good(now) else None

    def is_good(self, caller: Caller) -> bool:
        """Tell whether somebody who was admitted would be so now.

        Raises
        ------
        TransientError
            If the database is away.
        """
        return caller.token_id is None or self.caller_by_id(caller.token_id) is not None

    def forget(self, token_id: int) -> None:
        """Look a token up anew before it opens anything: it has just been revoked here."""
        with self._lock:
            for sha256 in [known for known, seen in self._seen.items() if seen.record.token_id == token_id]:
                del self._seen[sha256]
        self._seen_by_id.pop(token_id, None)

    def check_patience(self, address: str) -> None:
        """Refuse an address from which there were too many wrong tokens.

        Raises
        ------
        TooManyFailuresError
        """
        wait_s = self._failed.wait_s(address)
        if wait_s:
            raise TooManyFailuresError(wait_s)

    def _look(self, sha256: str, *, address: str, is_known: bool) -> _Seen:
        if not is_known:
            self.check_patience(address)
        now = self._clock()
        record = self._tokens.token_by_hash(sha256)
        if record is None:
            self._failed.note(address)
            logger.warning("a login failed", extra={"action": "login_failed", "address": address})
            raise TokenRefusedError("this is no token of this server")
        if record.is_good(now) and now - (record.last_used_at or 0.0) >= _USE_NOTED_S:
            self._note_use(record.token_id, now)
        seen = _Seen(record, record.caller, now)
        with self._lock:
            self._seen[sha256] = seen
            self._seen.move_to_end(sha256)
            while len(self._seen) > _MOST_KEPT:
                self._seen.popitem(last=False)
        return seen

    def _note_use(self, token_id: int, now: float) -> None:
        try:
            self._tokens.note_token_use(token_id, now=now)
        except TransientError as error:  # who only looks, may, also where nothing can be written
            logger.info("not noted", extra={"action": "token_use_not_noted", "why": str(error)})
