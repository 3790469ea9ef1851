"""A mail server on the loopback interface."""

from __future__ import annotations

import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.services.process import free_port


class MailServer:
    """Keeps what it is sent; used as a context.

    Parameters
    ----------
    user, password : str, optional
        Who may send; None lets everybody.
    tls : SSLContext, optional
        With its certificate, for STARTTLS.
    refused : frozenset of str
        Recipients that it does not take.

    Attributes
    ----------
    received : list of EmailMessage
    """

    def __init__(
        self,
        *,
        user: str | None = None,
        password: str = "",
        tls: ssl.SSLContext | None = None,
        refused: frozenset[str] = frozenset(),
    ) -> None:
        self.received: list[EmailMessage] = []
        self._user, self._password, self._refused = user, password, refused
        options: dict[str, Any] = {"tls_context": tls, "require_starttls": tls is not None}
        if user is not None:
            options |= {"authenticator": self._judge, "auth_require_tls": False}
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_MAIL(  # noqa: N802 - the library's name
        self, _server: Any, session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Ask who it is."""
        if self._user is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        if address in self._refused:
            return "550 nobody here by that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        """Keep a message."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        return "250 OK"

    def _judge(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, shown: LoginPassword
    ) -> AuthResult:
        right = (shown.login, shown.password) == (str(self._user).encode(), self._password.encode())
        return AuthResult(success=right, handled=False)
