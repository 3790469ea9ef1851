"""The errors of the client: those of `haste_core.errors`, and what can be wrong on the way to the server."""

from __future__ import annotations

from haste_core.errors import HasteError, PermanentError, TransientError


class ServerUnreachableError(TransientError):
    """Nothing answers at the server's address, or it stopped answering in the middle.

    Attributes
    ----------
    url, reason : str
    was_connected : bool
        True if only the answer may be missing, and what was asked for may be done.
    """

    def __init__(self, url: str, reason: str, *, was_connected: bool = False) -> None:
        self.url = url
        self.reason = reason
        self.was_connected = was_connected
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


class CertificateError(HasteError):
    """The server's certificate cannot be trusted, or is for another name; asking again would not help."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"the certificate of {url} cannot be trusted: {reason}; name the file of the authority that "
            "signed it (REQUESTS_CA_BUNDLE), or check the server's name"
        )


class ServerError(PermanentError):
    """The server failed on this very request; asking again would not help."""
