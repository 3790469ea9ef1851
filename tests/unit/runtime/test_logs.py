"""Logs of two kinds of loggers."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, structlog
from haste_runtime.logs import configure_logging
configure_logging("info", {style!r})
logging.getLogger("haste_server.a").info("moved %s", "A01", extra={{"action": "moved", "task_id": 7}})
structlog.get_logger("haste_server.b").info("moved", action="moved", task_id=8)
logging.getLogger("haste_server.a").debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("haste_server.a").exception("oh")
"""


@pytest.mark.parametrize("style", ["json", "console"])
def test_both_kinds_of_loggers_write_the_same_lines(style: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(style=style)], capture_output=True, text=True, check=True
    )

    assert done.stdout == ""
    assert "ZeroDivisionError" in done.stderr
    assert "not shown" not in done.stderr
    if style == "json":
        first, second, third = map(json.loads, done.stderr.splitlines())
        assert (first["event"], first["action"], first["task_id"]) == ("moved A01", "moved", 7)
        assert (second["event"], second["action"], second["task_id"]) == ("moved", "moved", 8)
        assert (third["level"], third["event"]) == ("error", "oh")
    else:
        assert "action=moved" in done.stderr
        assert "task_id=8" in done.stderr


LOST_CONNECTION = """
import sqlite3
import sqlalchemy as sa
from haste_runtime.logs import configure_logging

class Connection(sqlite3.Connection):
    is_lost = False

    def rollback(self):
        if self.is_lost:
            raise sqlite3.OperationalError("the server has gone away")

configure_logging("info")
engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:", factory=Connection))
engine.connect().close()
Connection.is_lost = True
engine.raw_connection().close()
"""


def test_a_connection_that_was_lost_before_it_is_put_back_leaves_no_stack_trace() -> None:
    done = subprocess.run([sys.executable, "-c", LOST_CONNECTION], capture_output=True, text=True, check=True)

    assert done.stderr == ""
