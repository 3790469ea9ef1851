"""Serving with gunicorn: an arbiter, and under it the processes that answer requests in threads."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from haste_runtime.parents import is_orphaned
from haste_server.processes.children import RestartPause
from haste_server.processes.claims import UrlFile
from haste_server.processes.parts import Parts, server_url, serving_text

logger = logging.getLogger(__name__)

DRAIN_S = 10.0  # for the requests that are under way when the server stops
KILL_MARGIN_S = 30.0  # beyond what draining and running tasks may take: the engine's own threads
KEEPALIVE_S = 30  # longer than clients wait between two polls
HEAD_S = 10.0  # in which the head of a request has to come, or one that comes never would hold a thread
HANG_S = 120  # a process whose main loop is silent for so long is replaced


@dataclass(frozen=True)
class Listening:
    """Where and how to listen.

    Attributes
    ----------
    processes, threads : int
        Web processes, and threads in each.
    shutdown_s : float
        How long running tasks may take to end.
    parent_pid : int, optional
        A process without which this one must not go on.
    """

    host: str
    port: int
    processes: int
    threads: int
    shutdown_s: float
    parent_pid: int | None = None


def serve(listening: Listening, *, url_file: UrlFile, make: Callable[[str], Parts]) -> None:
    """Serve until a signal ends it; does not return.

    Parameters
    ----------
    listening : Listening
    url_file : UrlFile
    make : callable
        Makes the parts of a web process in that process, after the fork; told the server's URL.

    Raises
    ------
    SystemExit
        Always; the code tells whether the server could work.
    """
    _WebServer(listening, url_file, make).run()


class _WebServer(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    def __init__(self, listening: Listening, url_file: UrlFile, make: Callable[[str], Parts]) -> None:
        self._listening = listening
        self._url_file = url_file
        self._make = make
        self._url = self._serving = ""
        self._parts: Parts | None = None
        super().__init__()

    def load_config(self) -> None:
        listening = self._listening
        host = f"[{listening.host}]" if ":" in listening.host else listening.host
        options: dict[str, Any] = {
            "bind": f"{host}:{listening.port}",
            "worker_class": _WebProcess,
            "workers": listening.processes,
            "threads": listening.threads,
            "timeout": HANG_S,
            "keepalive": KEEPALIVE_S,
            "graceful_timeout": round(DRAIN_S + listening.shutdown_s + KILL_MARGIN_S),
            "logger_class": _QuietLogger,
            # Names with "_" are dropped, as those with "-" could be meant. The original agent sends this one.
            "forwarder_headers": "X-HASTE-ORIGINAL_FILENAME",
            "forwarded_allow_ips": "*",
            "secure_scheme_headers": {},
            "control_socket_disable": True,
            "when_ready": self._bound,
            "post_fork": self._forked,
            "post_worker_init": self._begin,
            "worker_exit": self._end,
            "on_exit": self._exit,
        }
        for name, value in options.items():
            if name in self.cfg.settings:  # older gunicorns have no control socket to disable
                self.cfg.set(name, value)

    def load(self) -> Any:
        self._parts = self._make(self._url)
        return self._parts.application

    def run(self) -> None:
        _PatientArbiter(self, parent_pid=self._listening.parent_pid).run()

    def _bound(self, arbiter: Arbiter) -> None:
        host, port = arbiter.LISTENERS[0].sock.getsockname()[:2]
        self._url = server_url(host, port)
        self._serving = serving_text(host, port)

    def _forked(self, _arbiter: Arbiter, worker: Any) -> None:
        # The arbiter waits for requests and tasks; the worker itself, for requests only.
        worker.cfg.set("graceful_timeout", round(DRAIN_S))

    def _begin(self, worker: Any) -> None:
        # A Ctrl-C reaches all processes of the terminal; the arbiter alone decides what it means.
        signal.signal(signal.SIGINT, lambda *_: None)
        assert self._parts is not None
        self._parts.start()
        self._url_file.write(self._url)
        # The first processes begin together, and one of them says so; those that replace one say it, too.
        if worker.age == 1 or worker.age > self._listening.processes:
            logger.info(self._serving, extra={"action": "serving", "url": self._url})

    def _end(self, _arbiter: Arbiter, worker: Any) -> None:
        if self._parts is None:
            return  # in the arbiter, which also comes here
        self._parts.stop()
        if worker.ppid != os.getppid():
            self._url_file.remove(self._url)  # the arbiter was killed, and cannot

    def leave(self) -> None:
        """Let answers that would go on without end find theirs."""
        if self._parts is not None:
            self._parts.leave()

    def _exit(self, _arbiter: Arbiter) -> None:
        self._url_file.remove(self._url)
        logger.info("stopped", extra={"action": "stopped"})


class _PatientArbiter(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """An arbiter that pauses before it restarts what dies young, and ends with its parent."""

    def __init__(self, application: BaseApplication, *, parent_pid: int | None) -> None:
        self._parent_pid = parent_pid
        self._restart_pause = RestartPause()
        self._spawned_at = self._not_before = 0.0
        super().__init__(application)

    def init_signals(self) -> None:
        with_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        if with_nohup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_int(self) -> None:
        self.handle_term()

    def handle_hup(self) -> None:
        """Stop, since the terminal is gone; a reload would run two engines for a while."""
        self.handle_term()

    def handle_ttin(self) -> None:
        """Do nothing: more processes could be more engines."""

    handle_ttou = handle_usr2 = handle_ttin

    def murder_workers(self) -> None:
        if is_orphaned(self._parent_pid):
            logger.warning("the parent is gone", extra={"action": "orphaned"})
            raise StopIteration
        super().murder_workers()

    def reap_workers(self) -> None:
        before = len(self.WORKERS)
        super().reap_workers()
        if len(self.WORKERS) < before:
            now = time.monotonic()
            self._not_before = now + self._restart_pause.pause_s(now - self._spawned_at)

    def spawn_workers(self) -> None:
        now = time.monotonic()
        if now >= self._not_before:  # else the arbiter asks again within a second
            self._spawned_at = now
            super().spawn_workers()


class _WebProcess(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """A web process that waits for no client without end, nor for any once its arbiter has been killed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._heads_due: dict[socket.socket, float] = {}

    def handle(self, conn: Any) -> Any:
        connection = conn.sock
        self._heads_due[connection] = time.monotonic() + HEAD_S
        try:
            return super().handle(conn)
        finally:
            self._heads_due.pop(connection, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        self._heads_due.pop(conn.sock, None)  # from here on, the application says how patient it is
        return super().handle_request(req, conn)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.app.leave()  # or the requests that are under way would never be done
        super().handle_exit(sig, frame)

    def end_slow_heads(self) -> None:
        """Let threads that wait for more of a request's head find its end, if it is overdue."""
        now = time.monotonic()
        for connection, due in list(self._heads_due.items()):
            if due < now:
                with suppress(OSError):  # it is closed already
                    connection.shutdown(socket.SHUT_RD)

    def is_parent_alive(self) -> bool:
        # gunicorn's own goes on to keep connections alive, and with them this process, which holds the claim
        # on the data folder that the next server waits for.
        self.end_slow_heads()  # this is asked about once a second
        there = bool(super().is_parent_alive())
        if not there:
            self.app.leave()
            self.alive = False
        return there


class _QuietLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Hands gunicorn's few words to the server's own logs; requests are not logged."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)
