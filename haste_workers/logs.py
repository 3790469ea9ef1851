"""Structured logs on standard error; standard output belongs to data."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

_OWN_LOGGERS = ("haste_workers", "haste_wire")


def configure_logging(level: str) -> None:
    """Send the logs of this process to standard error, as lines of ``key=value``.

    Libraries are heard from a warning on.

    Parameters
    ----------
    level : {'debug', 'info', 'warning', 'error'}
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "action", "event"])
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(threshold)
