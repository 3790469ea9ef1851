"""What happens at the server, told as it happens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from haste_client.alerts import AlertAnswer, AlertCalls
from haste_client.answers import Answer
from haste_client.connection import Connection
from haste_client.errors import OutageError, ServerUnreachableError

EVENTS_OUTAGE_S = 300.0

_RECONNECT_S = 3.0  # the server says otherwise if it wants


class StreamEvent(Answer):
    """How a stream stands, told first as it is, and then whenever something of it has changed.

    Attributes
    ----------
    open, done, failed : int
        Jobs that are not finished, that are done, that have failed.
    running : int
        Tasks that workers have.
    open_alerts : int
    last_job_id, last_decision_id : int, optional
        The newest.
    last_end_at : float, optional
        When a job came to its end last, in seconds since 1970: with it as `ended_since`, `HasteClient.jobs`
        tells which ended then and later.
    mode : str
        ``observe`` or ``enforce``.
    completed_at : float, optional
        When the stream became complete, in seconds since 1970.
    """

    stream_id: str
    open: int
    running: int
    done: int
    failed: int
    open_alerts: int
    last_job_id: int | None = None
    last_decision_id: int | None = None
    last_end_at: float | None = None
    mode: str
    completed_at: float | None = None


Event = StreamEvent | AlertAnswer


class EventCalls(AlertCalls):
    """The calls of `HasteClient` that tell what happens."""

    def events(
        self,
        *,
        stream_id: str | None = None,
        after_alert_id: int | None = None,
        outage_s: float = EVENTS_OUTAGE_S,
        pause: Callable[[float], object] = time.sleep,
    ) -> Iterator[StreamEvent | AlertAnswer]:
        """Go through what happens, as it happens, without end.

        First comes how each stream stands. A connection that ends, as each does after a quarter of an hour,
        is made anew; the alerts of the meantime are told then, and the streams that have changed.

        Parameters
        ----------
        stream_id : str, optional
            Only of this stream. Default: of all that the token may know.
        after_alert_id : int, optional
            Tell the alerts after this one first. Default: only those that are raised from now on.
        outage_s : float
            How long the server may be away, or have no place for one who follows, after it told something.
        pause : callable
            Waits some seconds before the connection is made anew; what it raises ends the following.

        Yields
        ------
        StreamEvent or AlertAnswer

        Raises
        ------
        NotFoundError
            If there is no such stream.
        OutageError
            If as many follow already as the server lets (``max_event_streams``; a server on Windows has no
            events), or it cannot work: ask for what you want to know every few seconds instead.
        ServerUnreachableError
            If it is away.
        """
        following = _Following(self._connection, stream_id, after_alert_id)
        while True:
            try:
                yield from following.events()
            except (OutageError, ServerUnreachableError):
                if following.lost_for_s() > outage_s:
                    raise
            pause(following.reconnect_s)


class _Following:
    """What one who follows was told, over several connections."""

    def __init__(self, connection: Connection, stream_id: str | None, alert_id: int | None) -> None:
        self._connection = connection
        self._params = {} if stream_id is None else {"stream_id": stream_id}
        self._last_id = None if alert_id is None else str(alert_id)
        self._streams: dict[str, StreamEvent] = {}
        self._has_begun = False
        self._lost_at: float | None = None
        self.reconnect_s = _RECONNECT_S

    def lost_for_s(self) -> float:
        """Tell how long the server has been away, from the first call on that says so; or never was there."""
        self._lost_at = time.monotonic() if self._lost_at is None else self._lost_at
        return time.monotonic() - self._lost_at if self._has_begun else math.inf

    def events(self) -> Iterator[Event]:
        """Go through the events of one connection, but for streams that stand as they were told to."""
        headers = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        with self._connection.reading("/HASTE/events", params=self._params, headers=headers) as lines:
            for told in _messages(lines):
                self._note(told)
                event = _event(told)
                if isinstance(event, StreamEvent):
                    if self._streams.get(event.stream_id) == event:
                        continue
                    self._streams[event.stream_id] = event
                if event is not None:
                    yield event

    def _note(self, told: Mapping[str, str]) -> None:
        self._has_begun, self._lost_at = True, None
        self._last_id = told.get("id", self._last_id)
        if told.get("retry", "").isdecimal():
            self.reconnect_s = int(told["retry"]) / 1000


def _messages(lines: Iterable[str]) -> Iterator[Mapping[str, str]]:
    """Read server-sent events: fields, a line each, up to an empty line; one that was cut off is none."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            yield fields
            fields = {}


def _event(told: Mapping[str, str]) -> Event | None:
    """Read an event; None if it is of a kind that only newer clients know, or tells no more than its id."""
    kinds: dict[str, type[StreamEvent] | type[AlertAnswer]] = {"stream": StreamEvent, "alert": AlertAnswer}
    kind = kinds.get(told.get("event", ""))
    return kind.model_validate_json(told["data"]) if kind is not None and "data" in told else None
