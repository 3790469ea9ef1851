"""What stands above all pages: alerts that nobody has acknowledged."""

from __future__ import annotations

from dataclasses import dataclass

from haste_core.alert_stores import AlertRecord
from haste_core.errors import TransientError
from haste_server.api.services import services

BANNER_LINES = 3


@dataclass(frozen=True)
class Banner:
    """The newest open alerts, and whether there are more."""

    alerts: list[AlertRecord]
    more: bool


def banner() -> Banner:
    """Look up what is to stand above a page; nothing while the database is away."""
    try:
        page = services().alerts.newest_open(cursor=None, limit=BANNER_LINES + 1)
    except TransientError:
        return Banner([], more=False)  # the page itself says so
    return Banner(page.items[:BANNER_LINES], more=len(page.items) > BANNER_LINES)
