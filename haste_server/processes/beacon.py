"""How web processes reach the engine's process: a file tells how it is, a datagram wakes it.

A datagram on the loopback interface works alike on all systems, however long the data folder's name is.
One that gets lost costs little, since the engine looks by itself once a second.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from haste_core.dead_letters import DeadLetters
from haste_server.processes.claims import write_atomically

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
INTERVAL_S = 1.0
STALE_AFTER_S = 5.0
PAUSE_AFTER_TROUBLE_S = 0.5
_CALL_BYTES = 2048  # Windows takes a longer datagram than was asked for as an error; strangers may send any
_KEPT_S = 0.5  # between two looks at the file


@dataclass(frozen=True)
class _SignOfLife:
    at: float
    wake_port: int
    broker: str
    engine: str
    dead_letters: DeadLetters | None = None


_sign = TypeAdapter(_SignOfLife)


class EngineBeacon:
    """The engine's side.

    Parameters
    ----------
    path : Path
        Of the file.
    wake : callable
        What to do when a web process knocks.
    look : callable
        Tells ``"ok"`` or the trouble of ``broker`` and ``engine``.
    dead_letters : callable
        Tells which messages nobody could read; None while that is not known.
    """

    def __init__(
        self,
        path: Path,
        *,
        wake: Callable[[], None],
        look: Callable[[], Mapping[str, str]],
        dead_letters: Callable[[], DeadLetters | None] = lambda: None,
    ) -> None:
        self._path = path
        self._wake = wake
        self._look = look
        self._dead_letters = dead_letters
        self._troubles: dict[str, str] = {}
        self._stopping = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._threads = [
            threading.Thread(target=self._listen, name="wake-up calls", daemon=True),
            threading.Thread(target=self._shine, name="signs of life", daemon=True),
        ]

    def start(self) -> None:
        """Begin to listen and to tell."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._socket.bind((LOOPBACK, 0))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both, and take the file away."""
        self._stopping.set()
        with suppress(OSError):  # a full buffer holds calls enough
            self._socket.sendto(b"", self._socket.getsockname())
        for thread in self._threads:
            thread.join()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _listen(self) -> None:
        while not self._stopping.is_set():
            self._attempt(self._take_call)

    def _take_call(self) -> None:
        self._socket.recv(_CALL_BYTES)
        self._wake()

    def _shine(self) -> None:
        self._attempt(self._tell)
        while not self._stopping.wait(INTERVAL_S):
            self._attempt(self._tell)

    def _tell(self) -> None:
        parts = self._look()
        sign = _SignOfLife(
            time.time(),
            self._socket.getsockname()[1],
            broker=parts["broker"],
            engine=parts["engine"],
            dead_letters=self._dead_letters(),
        )
        write_atomically(self._path, _sign.dump_json(sign))

    def _attempt(self, step: Callable[[], None]) -> None:
        name = threading.current_thread().name
        try:
            step()
            self._troubles.pop(name, None)
        except Exception as error:
            # A full disk, or a fault of ours in what is looked at. Without this thread the web processes
            # would take a living engine for dead, for ever.
            trouble = repr(error)
            if self._troubles.get(name) != trouble:  # told once, not each second
                logger.exception("%s in trouble", name, extra={"action": "beacon_failed"})
            self._troubles[name] = trouble
            self._stopping.wait(PAUSE_AFTER_TROUBLE_S)


class EngineContact:
    """The web processes' side.

    Parameters
    ----------
    path : Path
        Of the file that the engine writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._sign: _SignOfLife | None = None
        self._looked_at = float("-inf")

    def wake(self) -> None:
        """Tell the engine that tasks may be ready, if it is there."""
        sign = self._latest()
        if sign is not None:
            with suppress(OSError):  # the engine is away, or has calls enough
                self._socket.sendto(b"!", (LOOPBACK, sign.wake_port))

    def look(self) -> Mapping[str, str]:
        """Tell how broker and engine are, as far as the engine told lately."""
        sign = self._latest()
        if sign is None:
            return {"broker": "not known: no engine", "engine": "it does not run"}
        silent_s = time.time() - sign.at
        if silent_s > STALE_AFTER_S:
            return {"broker": "not known: no engine", "engine": f"nothing heard of it for {silent_s:.0f} s"}
        return {"broker": sign.broker, "engine": sign.engine}

    def dead_letters(self) -> DeadLetters | None:
        """Tell which messages nobody could read; None if no engine told lately."""
        sign = self._latest()
        return None if sign is None or time.time() - sign.at > STALE_AFTER_S else sign.dead_letters

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _latest(self) -> _SignOfLife | None:
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at > _KEPT_S:
                self._looked_at = now
                self._sign = self._read()
            return self._sign

    def _read(self) -> _SignOfLife | None:
        try:
            return _sign.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("unreadable sign of life: %s", error, extra={"action": "beacon_unreadable"})
            return None
