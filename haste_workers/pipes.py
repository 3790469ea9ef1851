"""Standard input and output as the pipe to the server that started this worker."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO


def take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard input and output for frames, and point what others print to standard error.

    Returns
    -------
    reader, writer : BinaryIO
        From and to the server, unbuffered. Child processes do not inherit them.
    """
    sys.stdout.flush()
    reader, writer = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return os.fdopen(reader, "rb", buffering=0), os.fdopen(writer, "wb", buffering=0)
