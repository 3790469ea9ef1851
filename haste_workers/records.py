"""What a worker and its child processes tell each other: records, several to a frame.

A record is one byte for its kind and a body without line breaks (JSON); a frame joins records by line breaks.
A child sends the end of one task and the start of the next in one frame, so that its parent knows at any
moment which task the child runs, at the price of one system call a task.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """What a record says."""

    # to the child
    TASK = b"T"  # a TaskMessage to run, after those that were sent before
    RECALL = b"C"  # give back what is not started
    QUIT = b"Q"  # end, after the tasks that were sent before
    # from the child
    READY = b"+"  # all handlers are loaded
    UNUSABLE = b"!"  # a handler cannot be loaded; the body says why
    STARTED = b"S"
    PROGRESS = b"P"
    ENDED = b"E"  # a TaskResult
    RETURNED = b"R"  # what a recall gave back


@dataclass(frozen=True, slots=True)
class Record:
    """One thing told."""

    kind: Kind
    body: bytes = b""

    @classmethod
    def of(cls, kind: Kind, value: Any) -> Record:
        """Write a value as the record's JSON body."""
        return cls(kind, json.dumps(value).encode())

    def value(self) -> Any:
        """Read the JSON body."""
        return json.loads(self.body)


_KINDS = {kind.value[0]: kind for kind in Kind}


def pack(records: Iterable[Record]) -> bytes:
    """Join records to a frame."""
    return b"\n".join(record.kind.value + record.body for record in records)


def unpack(frame: bytes) -> list[Record]:
    """Take a frame apart."""
    return [Record(_KINDS[line[0]], line[1:]) for line in frame.split(b"\n")]
