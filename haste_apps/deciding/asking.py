"""Who is meant, who asks, and whether it is really to be done."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence

from haste_apps.output import say
from haste_client import HasteClient
from haste_core.errors import InvalidError, NotFoundError, Problem


def job_of(client: HasteClient, words: Sequence[str]) -> int:
    """Find the job that a user names: by its number, or by a stream and an image in it.

    Of several versions of an image, the one that was submitted last is meant.

    Raises
    ------
    InvalidError
        If it is neither.
    NotFoundError
        If there is no such stream, or it has no such image.
    """
    match list(words):
        case [number] if number.isdecimal():
            return int(number)
        case [stream_id, source_id]:
            ids = [job.job_id for job in client.jobs(stream_id=stream_id, source_id=source_id)]
            if not ids:
                client.stream(stream_id)  # says so if there is none
                raise NotFoundError(
                    f"stream {stream_id!r} has no image {source_id!r}; `haste jobs --stream {stream_id}` "
                    "lists those that it has"
                )
            return max(ids)
    what = f"{' '.join(words)!r} is neither a job's number nor a stream and an image, as in: plate7 A01.tif"
    raise InvalidError([Problem("ID", what)])


def name_of_user() -> str:
    """Return the name under which the user is known at this machine.

    Raises
    ------
    InvalidError
        If there is none.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise InvalidError([Problem("--by", "this machine does not tell your name; give it")]) from error


def agreed(question: str) -> bool:
    """Ask the user whether to do something.

    Raises
    ------
    InvalidError
        If there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise InvalidError([Problem("--yes", f"is needed where nobody can be asked: {question}")])
    say(f"{question} [y/N]")
    return sys.stdin.readline().strip().casefold() in ("y", "yes")
