"""A TCP proxy whose connections a test can cut or freeze, as a bad network would."""

from __future__ import annotations

import select
import socket
import threading


class TcpProxy:
    """Forwards connections on `port` of the loopback interface to another port there."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._frozen = False
        self._cut = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._forward)
        self._thread.start()

    def freeze(self) -> None:
        """Forward nothing from now on, and close nothing."""
        self._frozen = True
        self._wake_writer.send(b"x")

    def cut(self) -> None:
        """Close all present connections; new ones are forwarded."""
        self._cut.clear()
        self._wake_writer.send(b"c")
        self._cut.wait()

    def close(self) -> None:
        """Cut all connections and listen no more."""
        self._closing = True
        self._wake_writer.send(b"c")
        self._thread.join()
        for each in (self._server, self._wake_reader, self._wake_writer):
            each.close()

    def _forward(self) -> None:
        while not self._closing:
            watched = [] if self._frozen else [self._server, *self._peers]
            readable, _, _ = select.select([self._wake_reader, *watched], [], [])
            for each in readable:
                if each is self._wake_reader:
                    if b"c" in each.recv(64):
                        self._close_all()
                elif each is self._server:
                    self._connect()
                elif each in self._peers:
                    self._pass_on(each)
        self._close_all()

    def _connect(self) -> None:
        client, _ = self._server.accept()
        target = socket.create_connection(("127.0.0.1", self._target_port))
        self._peers |= {client: target, target: client}

    def _pass_on(self, source: socket.socket) -> None:
        sink = self._peers[source]
        try:
            data = source.recv(65536)
            sink.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (source, sink):
                del self._peers[end]
                end.close()

    def _close_all(self) -> None:
        for each in self._peers:
            each.close()
        self._peers.clear()
        self._cut.set()
