"""The first page: all streams, and how far each is."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request
from markupsafe import Markup
from werkzeug.wrappers import Response

from haste_core.stores import StreamProgress, StreamRecord
from haste_server.api.services import services
from haste_server.api.waiting import no_worker
from haste_server.web.pages import blueprint, is_secure, pages, show
from haste_server.web.texts import count
from haste_server.web.tiers import TierLine, share_bar, shares_text, tier_lines

STREAMS_SHOWN = 20
_PACE_S = 300.0  # what ended in this time tells the rate


@dataclass(frozen=True)
class StreamOverview:
    """How far a stream is.

    Attributes
    ----------
    per_s : float, optional
        Images that came to their end, each second; None if none did lately.
    left_s : float, optional
        How long the rest takes at this rate.
    """

    stream: StreamRecord
    progress: StreamProgress
    tiers: list[TierLine]
    per_s: float | None
    open_alerts: int

    @property
    def images(self) -> int:
        """All images."""
        return self.progress.open + self.ended

    @property
    def ended(self) -> int:
        """Those with nothing left to do, well or not."""
        return self.progress.done + self.progress.failed

    @property
    def left_s(self) -> float | None:
        """How long the rest takes at this rate."""
        return self.progress.open / self.per_s if self.per_s and self.progress.open else None

    @property
    def state(self) -> str:
        """Where the stream stands, in a word or two."""
        if self.progress.open:
            return "running" if self.per_s else "waiting"
        if self.stream.completed_at is not None:
            return "complete"
        return "idle" if self.images else "no images yet"

    @property
    def bar(self) -> Markup:
        """The tiers as a bar."""
        return share_bar(self.tiers)

    @property
    def bar_text(self) -> str:
        """The same in words."""
        return shares_text(self.tiers)


def stream_overview(stream: StreamRecord) -> StreamOverview:
    """Look how far a stream is."""
    stream_id = stream.stream_id
    progress = pages().kept.get(("progress", stream_id), lambda: services().streams.progress(stream_id))
    now = services().clock()
    pace = pages().figures.pace(stream_id, since=now - _PACE_S)
    return StreamOverview(
        stream=stream,
        progress=progress,
        tiers=tier_lines(progress.tiers, stream.pipeline),
        per_s=pace.per_s(now),
        open_alerts=services().alerts.open_alerts(stream_id),
    )


def unattended() -> list[str]:
    """Say which tasks wait without anybody who takes them."""
    live = services().live.now().routes
    queues = pages().kept.get("queues", services().workers.queues)
    waiting = [queue for queue in queues if queue.ready and queue.route not in live]
    return [
        f"{no_worker(queue.route)}: tasks that wait: {count(queue.ready)}{' or more' if queue.more else ''}"
        for queue in waiting
    ]


@blueprint.get("/")
def streams() -> Response:
    """Show the streams, by name."""
    page = services().streams.streams(cursor=request.args.get("cursor"), limit=STREAMS_SHOWN)
    return show(
        "streams.html",
        streams=[stream_overview(stream) for stream in page.items],
        following=page.next,
        is_first="cursor" not in request.args,
        unattended=unattended(),
        server_url=f"{'https' if is_secure() else 'http'}://{request.host}",
    )
