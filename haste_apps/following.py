"""What happens at a server, as lines: `haste events`."""

from __future__ import annotations

import queue
import threading
import time

from haste_apps.output import print_json, print_line
from haste_client import AlertAnswer, HasteClient, StreamEvent
from haste_runtime.quantities import time_text

_LOOK_S = 0.2  # between two looks whether somebody has told the program to end


class _StoppedError(Exception):
    """The one who follows was told to end."""


def show_events(client: HasteClient, stream_id: str | None, *, as_json: bool, stop: threading.Event) -> None:
    """Print events, a line each, until stopped.

    Parameters
    ----------
    client : HasteClient
    stream_id : str, optional
        Only of this stream.
    as_json : bool
    stop : threading.Event

    Raises
    ------
    HasteError
        What `HasteClient.events` raises.
    """
    news: queue.SimpleQueue[StreamEvent | AlertAnswer | Exception] = queue.SimpleQueue()

    def pause(seconds: float) -> None:
        if stop.wait(seconds):
            raise _StoppedError

    def follow() -> None:
        try:
            for event in client.events(stream_id=stream_id, pause=pause):
                news.put(event)
        except _StoppedError:
            return
        except Exception as error:  # raised where it is waited for
            news.put(error)

    # Nothing wakes up who waits for a silent server: that thread ends with its connection, or the program.
    threading.Thread(target=follow, name="follow", daemon=True).start()
    while not stop.is_set():
        try:
            event = news.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
        if isinstance(event, Exception):
            raise event
        _show(event, as_json=as_json)


def _show(event: StreamEvent | AlertAnswer, *, as_json: bool) -> None:
    if as_json:
        kind = "alert" if isinstance(event, AlertAnswer) else "stream"
        print_json({"event": kind, **event.model_dump(mode="json")})
    elif isinstance(event, AlertAnswer):
        print_line(f"{time_text(event.raised_at)} {event.stream_id}: alert {event.alert_id}: {event.message}")
    else:
        print_line(f"{time_text(time.time())} {event.stream_id}: {_summary(event)}")


def _summary(event: StreamEvent) -> str:
    jobs = f"{event.open} open ({event.running} running), {event.done} done, {event.failed} failed"
    complete = ", complete" if event.completed_at is not None else ""
    alerts = f", {event.open_alerts} open alerts" if event.open_alerts else ""
    return f"{jobs}, {event.mode}s{complete}{alerts}"
