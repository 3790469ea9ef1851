"""A progress bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """Shows how much of something is finished."""

    def advance(self, count: int) -> None:
        """Count up."""

    def update(self, completed: int) -> None:
        """Set the count."""


class _NoBar:
    def advance(self, count: int) -> None:
        pass

    def update(self, completed: int) -> None:
        pass


@contextmanager
def progress_bar(what: str, *, total: int, shown: bool) -> Iterator[Bar]:
    """Show a bar on stderr while the block runs, if `shown` and stderr is a terminal.

    Parameters
    ----------
    what : str
        What is being done, in a word.
    total : int
        The count at which it is finished.
    shown : bool
    """
    if not (shown and sys.stderr.isatty()):
        yield _NoBar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)

        class RichBar:
            def advance(self, count: int) -> None:
                progress.advance(task, count)

            def update(self, completed: int) -> None:
                progress.update(task, completed=completed)

        yield RichBar()
