"""A link of a given speed: a TCP proxy on this machine that lets so many bytes a second through."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE_BYTES = 16 * 1024
_BURST_S = 0.02  # what a link hands over at once, at its speed
_BUFFER_BYTES = 64 * 1024  # so that the sender feels the link, and not the memory of this machine


@dataclass
class Link:
    """The way to a server, and what came through from the senders.

    Attributes
    ----------
    bytes_per_s : float
        Of all senders together; answers are not held up.
    url : str
        Where senders find the server.
    passed : list of tuple
        Time (monotonic) and bytes of each piece.
    """

    bytes_per_s: float
    url: str = ""
    passed: list[tuple[float, int]] = field(default_factory=list)
    _free_at: float = 0.0

    @property
    def passed_bytes(self) -> int:
        """All bytes so far."""
        return sum(size for _, size in self.passed)

    def busy_share(self, since: float, until: float) -> float:
        """Tell what part of a span of time the link was sending."""
        sent = sum(size for at, size in self.passed if since < at <= until)
        return sent / self.bytes_per_s / (until - since)

    async def take(self, size: int) -> None:
        """Wait for one's turn on the link, for a piece."""
        now = time.monotonic()
        starts_at = max(self._free_at, now - _BURST_S)
        self._free_at = starts_at + size / self.bytes_per_s
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)
        self.passed.append((time.monotonic(), size))


@contextmanager
def throttled(server_url: str, bytes_per_s: float) -> Iterator[Link]:
    """Run a link to a server."""
    target = urlsplit(server_url)
    link = Link(bytes_per_s)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    link.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection(target.hostname, target.port)
        ways = (_carry(reader, back_writer, link), _carry(back_reader, writer, None))
        await asyncio.gather(*ways)

    async def run() -> None:
        async with await asyncio.start_server(serve, sock=listener, limit=_PIECE_BYTES):
            await over.wait()
        served = asyncio.all_tasks() - {asyncio.current_task()}
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
        await asyncio.sleep(0)  # for the connections to close

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link | None) -> None:
    with suppress(ConnectionError):  # who broke it off will see
        try:
            while piece := await reader.read(_PIECE_BYTES):
                if link is not None:
                    await link.take(len(piece))
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()
