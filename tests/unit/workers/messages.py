"""Task messages as a server would send them."""

from collections.abc import Sequence
from typing import Any

from haste_core.messages import DecisionNote, Place, TaskMessage


def task_message(
    task_id: int = 1,
    task_key: str = "echo",
    *,
    parameters: dict[str, Any] | None = None,
    ttl_s: float = 1e6,
    url: str = "file:///nowhere/field.tif",
    site: str = "default",
    sha256: str | None = None,
    size_bytes: int | None = None,
    source_id: str | None = None,
    response: dict[str, Any] | None = None,
    decision: DecisionNote | None = None,
    leaving: Place | None = None,
    sidecars: Sequence[str] = (),
    place: Place | None = None,
    is_scored: bool = False,
) -> TaskMessage:
    job = {
        "job_id": 1000 + task_id,
        "stream_id": "plate7",
        "source_id": source_id or f"field-{task_id}.tif",
        "source_url": url,
        "sidecars": list(sidecars),
        "response": response or {},
    }
    return TaskMessage(
        task_id=task_id,
        job_id=1000 + task_id,
        attempt=1,
        task_key=task_key,
        site=site,
        ttl_s=ttl_s,
        place=place or Place(url=url, site=site, sha256=sha256, size_bytes=size_bytes),
        parameters=parameters or {},
        decision=decision,
        leaving=leaving,
        is_scored=is_scored,
        job=job,
    )
