"""What the agent shows: one live line on a terminal, a line now and then elsewhere, or events as JSON."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from haste_apps.agent.following import Status
from haste_apps.output import print_json, say, size_text

LINE_EVERY_S = 30.0


class Display:
    """Shows how far the agent is, and tells what happens.

    Parameters
    ----------
    as_json : bool
        Print events on stdout, one JSON object a line.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._said: set[str] = set()
        self._status = Status()
        self._shown: Status | None = None
        self._show_at_s = 0.0
        self._incomplete = 0
        self._live: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = None
        say(status_text(self._status, self._incomplete))

    def event(self, event: str, **fields: Any) -> None:
        """Print an event, if events are wanted."""
        if self._as_json:
            print_json({"event": event, "at": round(time.time(), 3), **fields})

    def show_page(self, address: str, file: Path) -> None:
        """Say where the page is: to who sits here; else in a file, since what is printed may be kept."""
        file.write_text(f"{address}\n", encoding="utf-8")
        self.say_once(f"To look at the images: {address if self._live is not None else f'see {file}'}")

    def say(self, text: str) -> None:
        """Tell something that happens."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            say(text)

    def say_once(self, text: str) -> None:
        """Tell something that stays so for a while, or for good."""
        if text and text not in self._said:
            self._said.add(text)
            self.say(text)

    def forget(self, text: str) -> None:
        """Let something be told again."""
        self._said.discard(text)

    def show(self, status: Status, *, incomplete: int) -> None:
        """Show how far all is."""
        if status.trouble != self._status.trouble:
            self.event("trouble", message=status.trouble or None)
            if self._live is None:
                say(f"Waiting: {status.trouble}" if status.trouble else "It goes on.")
        self._status, self._incomplete = status, incomplete
        if self._live is not None:
            from rich.text import Text

            text = Text(status_text(status, incomplete), overflow="ellipsis", no_wrap=True)
            self._live.update(text, refresh=True)
        elif time.monotonic() >= self._show_at_s and status != self._shown:
            self._shown = status
            self._show_at_s = time.monotonic() + LINE_EVERY_S
            if not self._as_json:
                say(status_text(status, incomplete))
            self.event("status", **status_fields(status, incomplete))


def status_text(status: Status, incomplete: int = 0) -> str:
    """Write one line."""
    parts = [
        f"{status.found} found",
        f"{status.preprocessed} preprocessed",
        f"{status.uploaded} uploaded",
        f"{status.waiting} waiting",
        *([f"{status.failed} FAILED"] if status.failed else []),
        *([f"{incomplete} incomplete"] if incomplete else []),
        f"{size_text(status.bytes_per_s)}/s",
        f"{100 * status.saved_share:.0f} % saved",
    ]
    if status.waiting and status.eta_s is not None:
        parts.append(f"{_duration_text(status.eta_s)} left")
    if status.trouble:
        parts.append(f"WAITING: {status.trouble}")
    return " · ".join(parts)


def status_fields(status: Status, incomplete: int) -> dict[str, Any]:
    """Write the same for programs."""
    return {
        "found": status.found,
        "preprocessed": status.preprocessed,
        "uploaded": status.uploaded,
        "waiting": status.waiting,
        "failed": status.failed,
        "incomplete": incomplete,
        "original_bytes": status.original_bytes,
        "sent_bytes": status.sent_bytes,
        "waiting_bytes": status.waiting_bytes,
        "bytes_per_s": round(status.bytes_per_s),
        "eta_s": None if status.eta_s is None else round(status.eta_s, 1),
        "trouble": status.trouble or None,
    }


def _duration_text(seconds: float) -> str:
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest_s:02}" if hours else f"{minutes}:{rest_s:02}"
