"""Serving with waitress, in one process: for Windows, where there is no gunicorn."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from waitress.server import create_server

from haste_server.processes.claims import UrlFile
from haste_server.processes.parts import Parts, server_url, serving_text
from haste_server.processes.supervisor import hear_stop_signals, run_until_stopped

logger = logging.getLogger(__name__)


def serve_in_one_process(
    host: str,
    port: int,
    *,
    threads: int,
    url_file: UrlFile,
    make: Callable[[str], Parts],
    parent_pid: int | None = None,
) -> None:
    """Serve until a signal ends it.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    threads : int
    url_file : UrlFile
    make : callable
        Makes the parts of the process; told the server's URL.
    parent_pid : int, optional
        The process without which this one must not go on.
    """
    stop_signals = hear_stop_signals()
    parts: Parts | None = None

    def application(environ: dict[str, object], start_response: object) -> object:
        assert parts is not None
        return parts.application(environ, start_response)  # type: ignore[misc, arg-type]

    server = create_server(application, host=host, port=port, threads=threads)
    url = server_url(host, int(server.effective_port))
    parts = make(url)
    parts.start()
    answering = threading.Thread(target=server.run, name="waitress", daemon=True)
    answering.start()
    url_file.write(url)
    logger.info(serving_text(host, int(server.effective_port)), extra={"action": "serving", "url": url})
    try:
        run_until_stopped(stop_signals, parent_pid=parent_pid)
    finally:
        server.close()
        parts.stop()
        url_file.remove(url)
