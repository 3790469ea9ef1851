"""What a process of the server is made of, and where it answers."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from wsgiref.types import WSGIApplication

from haste_runtime.garbage import collect_seldom


@dataclass(frozen=True)
class Part:
    """Something that runs beside the threads that answer requests."""

    start: Callable[[], None]
    stop: Callable[[], None]


@dataclass(frozen=True)
class Parts:
    """The application of a process, and what runs beside it.

    Attributes
    ----------
    application : WSGI application, optional
        None in a process that answers no requests.
    beside : tuple of Part
        In the order in which they are started; they are stopped in the reverse one.
    leave : callable
        Lets answers that would go on without end find theirs, since the process is about to end. A signal
        handler calls it.
    """

    application: WSGIApplication | None
    beside: tuple[Part, ...] = field(default=())
    leave: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Start all parts."""
        for part in self.beside:
            part.start()
        collect_seldom()

    def stop(self) -> None:
        """Stop all parts."""
        for part in reversed(self.beside):
            part.stop()


def server_url(host: str, port: int) -> str:
    """Write the URL at which this machine's own programs reach the server."""
    address = ipaddress.ip_address(host)
    if listens_everywhere(host):
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{shown}:{port}"


def listens_everywhere(host: str) -> bool:
    """Tell whether an address that is listened at stands for all that this machine has."""
    return ipaddress.ip_address(host).is_unspecified


def serving_text(host: str, port: int) -> str:
    """Say where a server that listens there can be reached, for its log."""
    elsewhere = f", from other machines at port {port} of this one" if listens_everywhere(host) else ""
    return f"serving at {server_url(host, port)}{elsewhere}"
