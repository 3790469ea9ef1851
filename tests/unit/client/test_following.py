from collections.abc import Iterator

import pytest

from haste_client.answers import JobAnswer
from haste_client.following import OVERLAP_S, EndedJobs


def job(job_id: int, ended_at: float | None) -> JobAnswer:
    return JobAnswer(
        job_id=job_id,
        state=200,
        created_at=0,
        ended_at=ended_at,
        source_url="file:///a",
        source_id=str(job_id),
        site="default",
        stream_id="s",
    )


class Server:
    def __init__(self) -> None:
        self.jobs: list[JobAnswer] = []
        self.asked: list[float] = []

    def ended_since(self, since: float) -> Iterator[JobAnswer]:
        self.asked.append(since)
        ended = [one for one in self.jobs if one.ended_at is not None and one.ended_at >= since]
        return iter(sorted(ended, key=lambda one: (one.ended_at, one.job_id)))


def test_each_end_is_told_once_and_only_the_new_part_is_asked_for() -> None:
    server = Server()
    ended = EndedJobs(server.ended_since)
    server.jobs = [job(1, 100.0), job(2, 200.0)]
    assert [one.job_id for one in ended.poll()] == [1, 2]
    server.jobs += [job(3, 201.0)]
    assert [one.job_id for one in ended.poll()] == [3]
    assert ended.poll() == []
    assert server.asked == [0.0, 200.0 - OVERLAP_S, 201.0 - OVERLAP_S]


def test_a_job_that_was_committed_late_is_not_missed() -> None:
    server = Server()
    ended = EndedJobs(server.ended_since)
    server.jobs = [job(2, 200.0)]
    ended.poll()
    server.jobs += [job(1, 199.0)]
    assert [one.job_id for one in ended.poll()] == [1]


def test_a_job_that_ends_again_after_a_retry_is_told_again() -> None:
    server = Server()
    ended = EndedJobs(server.ended_since)
    server.jobs = [job(1, 100.0)]
    ended.poll()
    server.jobs = [job(1, 150.0)]
    assert [one.job_id for one in ended.poll()] == [1]


def test_without_news_everything_is_looked_at_again_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("haste_client.following.time.monotonic", lambda: clock[0])
    server = Server()
    ended = EndedJobs(server.ended_since)
    server.jobs = [job(2, 200.0)]
    ended.poll()
    server.jobs += [job(1, 50.0)]  # a clock that was far behind
    seen = []
    for second in range(1, 601):
        clock[0] = float(second)
        seen += [one.job_id for one in ended.poll()]
        assert ended.looked_at_all == (server.asked[-1] == 0.0)
    assert seen == [1]
    assert 4 <= server.asked.count(0.0) <= 9
