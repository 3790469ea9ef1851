"""People who look at a page: a program that asks the server for what as many open pages ask it.

It does what ``haste_server/web/static/page.js`` does, with the numbers that stand there, and draws nothing:
people's browsers run on computers of their own, and would take the server's processors here. It prints a line
when each has its page, and what was asked when it is told to end (SIGTERM).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

_SCRIPT = Path(__file__).resolve().parents[1] / "haste_server" / "web" / "static" / "page.js"
_RECONNECT_S = 3.0  # a browser's own, which the server names
_COMING_S = 3.0  # they do not all open their page in one moment


def number_in_script(name: str) -> float:
    """Read a number that the pages' script goes by."""
    found = re.search(rf"const {name} = (\d+);", _SCRIPT.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{_SCRIPT.name} has no number {name}")
    return float(found[1])


EVERY_S = number_in_script("EVERY_MS") / 1000
IDLE_S = number_in_script("IDLE_MS") / 1000
SHARE = number_in_script("SHARE")
EVENTS_AGAIN_S = number_in_script("EVENTS_AGAIN_MS") / 1000


@dataclass
class Reader:
    """One open page.

    Attributes
    ----------
    url : str
        Of the page.
    asked : Counter
        Answers by their status.
    is_told : bool
        It has one of the places for events.
    """

    url: str
    asked: Counter[int] = field(default_factory=Counter)
    is_told: bool = False
    _cookie: str = ""
    _tag: str = ""
    _gap_s: float = EVERY_S
    _looked_at: float = 0.0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self) -> str:
        """Load the page, and return the address of its events."""
        page = await self._look()
        self._tag = ""  # the script does not know that of the page it came with
        found = re.search(r'data-events="([^"]*)"', page)
        if found is None:
            raise ValueError(f"{self.url} is no page that follows events")
        return unescape(found[1])

    async def follow(self, events: str) -> None:
        """Renew the page as its script does, for good."""
        listening = asyncio.create_task(self._listen(events))
        try:
            while True:
                wait_s = (IDLE_S if self.is_told else self._gap_s) * random.uniform(0.9, 1.1)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), wait_s)
                await asyncio.sleep(max(0.0, self._looked_at + self._gap_s - time.monotonic()))
                self._news.clear()
                await self._look()
        finally:
            listening.cancel()

    async def _look(self) -> str:
        began = time.monotonic()
        headers = {"If-None-Match": self._tag} if self._tag else {}
        stream, writer, status, answered = await self._ask(self.url, headers)
        text = (await stream.read()).decode()
        writer.close()
        self.asked[status] += 1
        self._cookie = answered.get("set-cookie", self._cookie).partition(";")[0]
        self._tag = answered.get("etag", self._tag)
        self._looked_at = time.monotonic()
        self._gap_s = max(EVERY_S, SHARE * (self._looked_at - began))
        return text

    async def _listen(self, address: str) -> None:
        parts = urlsplit(self.url)
        while True:
            url = f"{parts.scheme}://{parts.netloc}{address}"
            stream, writer, status, _ = await self._ask(url, {"Accept": "text/event-stream"})
            self.is_told = status == 200
            self._news.set()
            if self.is_told:
                while line := await stream.readline():
                    if line.startswith((b"event: stream", b"event: alert")):
                        self._news.set()
            writer.close()
            await asyncio.sleep(_RECONNECT_S if self.is_told else EVENTS_AGAIN_S)

    async def _ask(
        self, url: str, headers: dict[str, str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int, dict[str, str]]:
        parts = urlsplit(url)
        stream, writer = await asyncio.open_connection(parts.hostname, parts.port)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        own = {
            "Host": parts.netloc,
            "Connection": "close",
            **({"Cookie": self._cookie} if self._cookie else {}),
        }
        said = "".join(f"{name}: {value}\r\n" for name, value in {**own, **headers}.items())
        # HTTP/1.0, so that no answer comes in chunks.
        writer.write(f"GET {path} HTTP/1.0\r\n{said}\r\n".encode())
        status = int((await stream.readline()).split()[1])
        answered = {}
        while (line := (await stream.readline()).strip()) != b"":
            name, _, value = line.decode().partition(":")
            answered[name.lower()] = value.strip()
        return stream, writer, status, answered


async def look(url: str, count: int) -> None:
    """Have so many pages open until told to end."""
    readers = [Reader(url) for _ in range(count)]
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    following = [
        asyncio.create_task(_come(reader, _COMING_S * place / count)) for place, reader in enumerate(readers)
    ]
    await _first_of(asyncio.create_task(_all_open(readers)), following)
    print("open", flush=True)
    await _first_of(asyncio.create_task(over.wait()), following)
    asked = sum((reader.asked for reader in readers), Counter())
    told = sum(reader.is_told for reader in readers)
    print(json.dumps({"told": told, **{str(status): number for status, number in asked.items()}}), flush=True)
    for task in following:
        task.cancel()


async def _first_of(awaited: asyncio.Task[object], following: list[asyncio.Task[None]]) -> None:
    """Wait for a task; a reader never ends by itself, so raise what ended one."""
    done, _ = await asyncio.wait([awaited, *following], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _all_open(readers: list[Reader]) -> bool:
    while not all(reader.asked for reader in readers):
        await asyncio.sleep(0.05)
    return True


async def _come(reader: Reader, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await reader.follow(await reader.open())


def main() -> None:
    """Look until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the page")
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    asyncio.run(look(options.url, options.count))


if __name__ == "__main__":
    main()
