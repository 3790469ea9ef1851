"""Structured logs on standard error; standard output belongs to data."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import Processor

_OUR_LOGGERS = ("haste_runtime", "haste_server", "haste_workers")
# They tell a lost connection in ten errors or a stack trace; whoever next needs it tells it in one line.
_LOUD_LIBRARIES = ("pika", "sqlalchemy.pool")


class PatientStream:
    """Standard error whose disk may be full: what cannot be written is lost, and nobody stops for it."""

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Send off what was written."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def configure_logging(level: str, style: Literal["console", "json"] = "console") -> None:
    """Send the logs of this process to standard error; libraries are heard from a warning on.

    Parameters
    ----------
    level : {'debug', 'info', 'warning', 'error'}
    style : {'console', 'json'}
        Lines of ``key=value``, or one JSON object each.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "action", "event"])
    )
    stream = PatientStream()
    # Not by way of the standard library, which would cost each task's line several times as much.
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
    for name in _OUR_LOGGERS:
        logging.getLogger(name).setLevel(threshold)
    for name in _LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
