from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from haste_apps.agent.following import Following
from haste_client import HasteClient
from haste_client.answers import JobAnswer, StreamProgress
from haste_client.liveness import WorkersAnswer

JOB = JobAnswer(
    job_id=1,
    state=200,
    created_at=1.0,
    ended_at=2.0,
    source_url="root://acquisition/A01.tif",
    source_id="A01.tif",
    source_version="10-1",
    site="default",
    stream_id="s",
    priority=1.0,
    metadata={},
    tasks={"Task": {"task_id": 1, "task_key": "upload", "task_state": 200, "task_msg": ""}},
    response={"upload": {"job_id": 7, "size_bytes": 10}},
    place=None,
)


class OneJob:
    """A server whose only job ends just before a call of a given number."""

    def __init__(self, ends_before: int) -> None:
        self._calls = 0
        self._ends_before = ends_before

    @property
    def _has_ended(self) -> bool:
        self._calls += 1
        return self._calls >= self._ends_before

    def sources(self, _stream_id: str) -> Iterator[Any]:
        return iter(())

    def stream(self, _stream_id: str) -> Any:
        done = int(self._has_ended)
        return SimpleNamespace(progress=StreamProgress(jobs=1, open=1 - done, done=done, failed=0))

    def jobs(self, **_query: Any) -> Iterator[JobAnswer]:
        return iter([JOB] if self._has_ended else [])

    def workers(self) -> WorkersAnswer:
        _ = self._has_ended
        return WorkersAnswer(workers=(), queues=())


@pytest.mark.parametrize("ends_before", range(1, 8))
def test_when_none_waits_all_ends_were_told(ends_before: int) -> None:
    following = Following(cast("HasteClient", OneJob(ends_before)), ["s"], preprocesses=False)
    told: list[JobAnswer] = []
    while not told or following.status.waiting:
        told += following.look()
        assert told or following.status.waiting
    assert told == [JOB]
