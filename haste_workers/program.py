"""A worker from its start to its end: its transport, its runner, and what it clears away."""

from __future__ import annotations

import os
import platform
import re
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from haste_core.errors import InvalidError, Problem
from haste_core.ports import WorkerTransport
from haste_workers.descendants import adopt_orphans
from haste_workers.handlers.registry import choose_handlers
from haste_workers.pipes import take_standard_streams
from haste_workers.runner import Runner
from haste_workers.scratch import scratch_folder
from haste_workers.settings import WorkerSettings
from haste_workers.superseded import superseded_files_removed
from haste_workers.template import Template, started_template
from haste_workers.transports.pipe import PipeTransport

_log = structlog.get_logger(__name__)


def run_worker(settings: WorkerSettings, *, pipe: bool) -> bool:
    """Work until SIGTERM or Ctrl-C, or until the server is gone.

    Parameters
    ----------
    settings : WorkerSettings
    pipe : bool
        Take tasks from standard input, not from a broker.

    Returns
    -------
    bool
        False if the server is gone.

    Raises
    ------
    InvalidError
        If there is no broker to take tasks from.
    HandlerUnusableError
    """
    handlers = choose_handlers(settings)
    worker_id = f"{_host()}-{os.getpid()}-{secrets.token_hex(3)}"
    if settings.handlers:
        sys.path.append(str(Path.cwd()))  # where users keep them; last, so that nothing there hides a library
    adopt_orphans()  # what a child leaves behind when it dies comes to this process, which ends it
    # First of all: the template is a copy of this process, which may have no threads and pipes yet.
    with started_template(settings, handlers, worker_id) as template:
        return _work(settings, handlers, worker_id, template, pipe=pipe)


def _work(
    settings: WorkerSettings,
    handlers: Mapping[str, str],
    worker_id: str,
    template: Template | None,
    *,
    pipe: bool,
) -> bool:
    def server_gone() -> None:
        _log.error("the server is gone", action="server-gone")
        runner.abandon()

    transport = _pipe_transport(server_gone) if pipe else _amqp_transport(settings, worker_id)
    with (
        scratch_folder(settings.work_dir, worker_id) as scratch,
        superseded_files_removed(settings, aside=scratch),
    ):
        runner = Runner(
            transport,
            settings=settings,
            handlers=handlers,
            worker_id=worker_id,
            scratch=scratch,
            template=template,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: runner.stop())
        return runner.run()


def _pipe_transport(on_closed: Callable[[], None]) -> WorkerTransport:
    reader, writer = take_standard_streams()
    return PipeTransport(reader, writer, on_closed=on_closed)


def _amqp_transport(settings: WorkerSettings, worker_id: str) -> WorkerTransport:
    if settings.broker_url is None:
        what = "give the URL of the RabbitMQ broker: --broker-url amqp://user:password@host:5672/vhost"
        raise InvalidError([Problem("broker_url", what)])
    from haste_workers.transports.amqp import AmqpTransport  # the embedded shape starts without pika

    return AmqpTransport(settings.broker_url.get_secret_value(), worker_id)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", platform.node())[:60] or "host"
