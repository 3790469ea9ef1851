"""Readers that need packages which not every worker has installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from haste_core.errors import PermanentError


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Say what to install if a package that is imported in the block is missing.

    Parameters
    ----------
    extra : str
        Of this project, as in ``pip install 'haste-server[EXTRA]'``.
    what : str
        The file, with its article, for example ``"a CZI file"``.

    Raises
    ------
    PermanentError
        A package is missing, or does not load: the file may be as it should, it is the worker that cannot
        read it.
    """
    try:
        yield
    except ImportError as error:
        raise PermanentError(
            f"this is {what}; to read it, install haste-server[{extra}] where this worker runs ({error})"
        ) from error
