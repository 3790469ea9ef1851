"""What holds jobs up while somebody waits for them: told once each, and not waited for without end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from haste_client.answers import JobAnswer
from haste_client.errors import OutageError, ServerUnreachableError
from haste_client.liveness import Readiness, WorkersAnswer
from haste_core.states import TaskState

QUIET_S, LOOK_EVERY_S = 3.0, 10.0  # without news for so long, the server is asked why; and then ever again

News = TypeVar("News")


class InquiryService(Protocol):
    """What a server is asked when nothing moves."""

    def check_ready(self, *, once: bool = False) -> Readiness:
        """Ask whether database, broker and engine work; raise OutageError if one does not."""

    def workers(self) -> WorkersAnswer:
        """Fetch who works, and what waits for whom."""

    def jobs(self, *, stream_id: str, state: int) -> Iterable[JobAnswer]:
        """Go through the jobs of a stream with this code."""


class Holdups:
    """Finds out why no job of a submission ends, and when waiting makes no sense any more.

    Parameters
    ----------
    service : InquiryService
        The server.
    stream_id : str
    is_awaited : callable
        Whether a job is one of those that are waited for.
    outage_s : float
        How long the server may be unreachable, or without its database or broker.
    tell : callable
        Takes a sentence for the user.
    """

    def __init__(
        self,
        service: InquiryService,
        stream_id: str,
        *,
        is_awaited: Callable[[JobAnswer], bool],
        outage_s: float,
        tell: Callable[[str], object],
    ) -> None:
        self._service = service
        self._stream_id = stream_id
        self._is_awaited = is_awaited
        self._outage_s = outage_s
        self._tell = tell
        self._told: set[str] = set()
        self._held_told = False
        self._in_trouble = False
        self._well_at_s = time.monotonic()
        self._look_at_s = self._well_at_s + QUIET_S

    def ask(self, refresh: Callable[[], list[News]]) -> list[News]:
        """Ask for news; when there have been none for a while, ask why.

        Returns
        -------
        list
            The news; empty also if the server cannot work just now.

        Raises
        ------
        TransientError
            If it could not for longer than `outage_s`; names what it lacks.
        """
        try:
            news = refresh()
            if news:
                self._look_at_s = time.monotonic() + QUIET_S
            elif time.monotonic() >= self._look_at_s:
                self._look()
                self._look_at_s = time.monotonic() + LOOK_EVERY_S
        except (ServerUnreachableError, OutageError) as error:
            self._endure(error)
            return []
        if self._in_trouble:
            self._tell("The server works again.")
        self._in_trouble, self._well_at_s = False, time.monotonic()
        return news

    def _look(self) -> None:
        self._service.check_ready(once=True)
        if self._in_trouble:
            return  # a server that has just come back has not heard of its workers yet
        known = self._service.workers()
        for queue in known.queues:
            if queue.message:
                sites = sorted({worker.site for worker in known.workers if queue.task_key in worker.keys})
                elsewhere = f". Workers take it at site {', '.join(map(repr, sites))}" if sites else ""
                waits = "its tasks wait until one is started (haste-worker)"
                self._tell_once(f"{queue.message}; {waits}{elsewhere}")
        if not self._held_told:
            self._tell_held()

    def _tell_held(self) -> None:
        listed = self._service.jobs(stream_id=self._stream_id, state=TaskState.RESET)
        held = list(islice(filter(self._is_awaited, listed), 2))
        if held:
            self._tell(_held_text(held, self._stream_id))
            self._held_told = True

    def _endure(self, error: ServerUnreachableError | OutageError) -> None:
        if time.monotonic() - self._well_at_s > self._outage_s:
            raise error
        if not self._in_trouble:
            self._tell(f"{error}. Waiting for it, for {self._outage_s:g} s at most.")
        self._in_trouble = True

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._tell(message)


def _held_text(held: Sequence[JobAnswer], stream_id: str) -> str:
    first = held[0]
    text = (
        f"{first.source_id}: its job was reset, and is held until somebody asks for a retry: "
        f"haste retry {first.job_id}"
    )
    more = f". There are more; all at once: haste retry --stream {stream_id} --state {TaskState.RESET.value}"
    return text + more if len(held) > 1 else text
