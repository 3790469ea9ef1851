"""The errors of the client: those of `haste_core.errors`, and what can be wrong on the way to the server."""

from __future__ import annotations

from haste_core.errors import HasteError, TransientError


class ServerUnreachableError(TransientError):
    """Nothing answers at the server's address, or it stopped answering in the middle."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"HASTE server at {url} does not answer: {reason}; is it running? Start it with haste-server"
        )


class OutageError(TransientError):
    """The server answers, but says that it cannot work just now, and what it waits for.

    Attributes
    ----------
    retry_after_s : float or None
        When the server wants to be asked again.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class AccessDeniedError(HasteError):
    """The token is missing, wrong, or does not allow this."""


class ServerError(HasteError):
    """The server failed on this very request; asking again would not help."""
