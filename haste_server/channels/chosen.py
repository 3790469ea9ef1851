"""The channels that a server's settings ask for; only those are loaded, with the libraries that they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from haste_server.channels.settings import EmailSettings, WebhookSettings

if TYPE_CHECKING:
    from haste_server.channels.mail import Mail
    from haste_server.channels.webhook import Webhook


def open_channels(webhooks: Sequence[WebhookSettings], email: EmailSettings | None) -> list[Mail | Webhook]:
    """Make a channel for each web address, and one for mail if there are settings for it."""
    channels: list[Mail | Webhook] = []
    if webhooks:
        from haste_server.channels.webhook import Webhook

        channels += map(Webhook, webhooks)
    if email is not None:
        from haste_server.channels.mail import Mail

        channels.append(Mail(email))
    return channels
