"""Standard output whose reader may go away, as in ``haste jobs | head``: the program then ends silently."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from haste_runtime.exit_codes import ExitCode


class _WatchedText(io.TextIOWrapper):
    """Text for a reader, without whom the program ends."""

    def write(self, text: str) -> int:
        """Write text.

        Raises
        ------
        SystemExit
            If the reader is gone. No handler of errors takes that for a failure of what is being done.
        """
        try:
            return super().write(text)
        except BrokenPipeError:
            self._end()

    def flush(self) -> None:
        """Send off what was written; raises SystemExit as `write` does."""
        try:
            super().flush()
        except BrokenPipeError:
            self._end()

    def _end(self) -> NoReturn:
        # What is still to be written, as by the interpreter when it ends, must not fail once more.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        raise SystemExit(ExitCode.NOBODY_READS) from None


def run_for_reader(program: Callable[[], Any], *, errors_too: bool = False) -> None:
    """Run a program until it ends, or until nobody reads what it writes to standard output.

    Parameters
    ----------
    program : callable
    errors_too : bool
        Standard error may have a reader, too, without whom the program ends: ``haste jobs 2>&1 | head``.
        Not for programs that go on without one.

    Raises
    ------
    SystemExit
        As the program does; with `ExitCode.NOBODY_READS` if a reader is gone.
    """
    sys.stdout = _watched(sys.stdout)
    if errors_too:
        sys.stderr = _watched(sys.stderr)
    try:
        program()
    finally:
        sys.stdout.flush()


def _watched(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed by whoever started the program
        return Path(os.devnull).open("w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    return _WatchedText(
        stream.buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
