"""Sessions of people who look at the pages: who showed a token once need not show it again.

A session is a value that the server has signed and need not remember; it names its token, which has to be
good still. The key is made from the settings' token: all web processes have the same, also after a restart,
and another one ends all sessions.
"""

from __future__ import annotations

import hmac
import secrets
from functools import lru_cache
from hashlib import scrypt, sha256
from urllib.parse import urlsplit

from flask import Request

from haste_core.ports import Clock
from haste_server.api.problem_codes import ProblemCode, RefusedError

SESSION_S = 24 * 3600.0
FORM_HEADER = "X-HASTE-Form"
FORM_FIELD = "form_token"
NOBODY = -1
"""In a token's place: the session lets nobody in, it only guards the forms of who is known otherwise."""

_NONCE_BYTES = 16
_PARTS = 2  # dots in what is signed
_LONGEST = 200  # characters; what the server makes is shorter


class Sessions:
    """Makes sessions, and recognises its own.

    Parameters
    ----------
    token : str, optional
        What a client must show. Without one everybody may look; a session then only tells this server's own
        forms from others.
    clock : callable
    """

    def __init__(self, token: str | None, *, clock: Clock) -> None:
        self._key = _key_of(token or "")
        self._clock = clock

    def begin(self, token_id: int | None = None) -> str:
        """Make a session, which ends after `SESSION_S`.

        Parameters
        ----------
        token_id : int, optional
            The token that was shown, or `NOBODY`. None: that of the settings.
        """
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        said = f"{int(self._clock() + SESSION_S)}.{token_id or 0}.{nonce}"
        return f"{said}.{self._signature('session', said)}"

    def is_valid(self, session: str) -> bool:
        """Tell whether this server, or one with the same token, has made a session that goes on."""
        said, _, signature = session[:_LONGEST].rpartition(".")
        own = hmac.compare_digest(signature.encode(), self._signature("session", said).encode())
        return own and said.count(".") == _PARTS and self._clock() < int(said.partition(".")[0])

    def token_of(self, session: str) -> int | None:
        """Tell which token a valid session names, if not `NOBODY`; None is that of the settings."""
        return int(session.split(".")[1]) or None

    def form_token(self, session: str) -> str:
        """Return what forms on the pages of a session hold, and no page of another site can know."""
        return self._signature("form", session)

    def check_form(self, session: str, shown: str) -> None:
        """Refuse a change that no page of this session asked for.

        Raises
        ------
        RefusedError
        """
        wanted = self.form_token(session)
        if not self.is_valid(session) or not hmac.compare_digest(shown.encode(), wanted.encode()):
            raise RefusedError(
                ProblemCode.OLD_PAGE,
                "the page that asked for this change is too old, or is none of this server's: go back, "
                "reload it, and ask again",
            )

    def _signature(self, purpose: str, said: str) -> str:
        return hmac.new(self._key, f"{purpose}:{said}".encode(), sha256).hexdigest()


@lru_cache(maxsize=8)
def _key_of(token: str) -> bytes:
    """Take a while on purpose: nobody finds a token that a person chose by trying words on a session."""
    return scrypt(token.encode(), salt=b"HASTE sessions of pages, version 1", n=2**14, r=8, p=1, dklen=32)


def session_of(request: Request) -> str:
    """Return the session that a request belongs to, valid or not; empty if none."""
    return request.cookies.get(cookie_name(request), "")


def cookie_name(request: Request) -> str:
    """Name the cookie by port: browsers share cookies between all servers of a machine."""
    try:
        port = urlsplit(f"//{request.host}").port
    except ValueError:
        port = None
    return f"haste_page_{port or 'default'}"
