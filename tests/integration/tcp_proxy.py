"""A TCP proxy whose connections a test can cut, freeze or slow down, as a bad network would."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

_LOOK_S = 0.2


class TcpProxy:
    """Forwards connections on `port` of the loopback interface, by default a free one, to another port there.

    Attributes
    ----------
    delay_s : float
        By how much everything is late that goes through; may be changed at any time.
    """

    def __init__(self, target_port: int, *, port: int = 0) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", port), backlog=128)
        self._server.settimeout(_LOOK_S)
        self.port: int = self._server.getsockname()[1]
        self.delay_s = 0.0
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def freeze(self) -> None:
        """Forward nothing from now on, and close nothing."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Forward again, also what came in between."""
        self._flowing.set()

    def cut(self) -> int:
        """Close all present connections, and tell how many; new ones are forwarded."""
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            return len(self._open) // 2

    def close(self) -> None:
        """Cut all connections and listen no more."""
        self._closing = True
        self.thaw()
        self._thread.join()
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            try:
                target = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                client.close()  # as if the client had met the closed port itself
                continue
            for each in (client, target):
                each.settimeout(None)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, target}
            for ends in ((client, target), (target, client)):
                threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                if self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(data)
        self._flowing.wait()  # the end of a connection is news, too
        self._end(source, sink)

    def _end(self, *ends: socket.socket) -> None:
        # Each direction has a thread. The first that ends wakes the other, which ends too; closing is left
        # to the last, since a number that is closed may be given to another socket at once.
        with self._lock:
            for each in ends:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            last = not self._open.issuperset(ends)
            self._open.difference_update(ends)
        if last:
            for each in ends:
                each.close()
