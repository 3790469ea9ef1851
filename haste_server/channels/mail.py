"""Alerts by e-mail."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from haste_core.alert_stores import AlertRecord
from haste_core.errors import TransientError
from haste_server.channels.settings import EmailSettings

TIMEOUT_S = 15.0  # for each step of the conversation


class Mail:
    """Sends alerts to the recipients of the settings, all of them in one message."""

    name = "e-mail"

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings

    def send(self, alert: AlertRecord) -> str:
        """Send an alert.

        Returns
        -------
        str
            Which recipients the mail server refused, if it took it for others.

        Raises
        ------
        TransientError
            If it was taken for nobody, with the reason.
        """
        settings = self._settings
        try:
            connection = self._connect()
            try:
                if settings.user is not None and settings.password is not None:
                    connection.login(settings.user, settings.password.get_secret_value())
                refused = connection.send_message(_message(alert, settings))
            finally:
                with suppress(OSError, smtplib.SMTPException):
                    connection.quit()  # what it says now changes nothing
                connection.close()
        except (OSError, smtplib.SMTPException) as error:
            raise TransientError(f"{settings.host}:{settings.port}: {_reason(error)}") from error
        return f"refused for {', '.join(sorted(refused))}" if refused else ""

    def _connect(self) -> smtplib.SMTP:
        host, port = self._settings.host, self._settings.port
        if self._settings.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
        connection = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        try:
            if self._settings.security == "starttls":
                connection.starttls(context=ssl.create_default_context())
        except BaseException:
            connection.close()
            raise
        return connection


def _message(alert: AlertRecord, settings: EmailSettings) -> EmailMessage:
    raised_at = datetime.fromtimestamp(alert.raised_at, UTC)
    message = EmailMessage()
    message["Subject"] = f"[HASTE] {alert.stream_id}: {alert.rule}"
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Date"] = format_datetime(raised_at)
    message["Message-ID"] = f"<{alert.event_id}@{settings.sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        f"{alert.message}.\n\n"
        f"stream: {alert.stream_id}\nalert: {alert.alert_id} ({alert.rule})\n"
        f"raised: {raised_at:%Y-%m-%d %H:%M:%S} UTC\n\n"
        f"To see all alerts: haste alerts {alert.stream_id}\n",
        cte="quoted-printable",  # names may hold any letters, and not every server takes eight bits
    )
    return message


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "it does not accept user and password: look at alert_email in the server's settings"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        said = {_said(code, text) for code, text in error.recipients.values()}
        return f"it takes no mail for these recipients ({'; '.join(sorted(said))})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it said {_said(error.smtp_code, error.smtp_error)}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return (
            f"it does not know what it needs to: {error}. Look at security, user and password in alert_email"
        )
    if isinstance(error, ssl.SSLError):
        return f"no encryption with it: {error.reason or error}. Look at security and port in alert_email"
    # A lost connection is told by one error for all causes.
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    return f"no connection, or it broke ({error})"


def _said(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
