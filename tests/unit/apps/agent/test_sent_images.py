"""Jobs of images that were confirmed leave, and nothing is forgotten by that."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from haste_apps.agent import sent_images
from haste_apps.agent.following import Following, Sums
from haste_apps.agent.sent_images import Departures, SentImages
from haste_client import HasteClient
from haste_client.answers import JobAnswer, StreamProgress
from haste_client.liveness import WorkersAnswer
from haste_core.errors import InvalidError, NotFoundError, TransientError


def done_job(number: int, **more: Any) -> JobAnswer:
    fields: dict[str, Any] = {
        "job_id": number,
        "state": 200,
        "created_at": 0.0,
        "ended_at": float(number),
        "source_url": f"root://acquisition/A{number}.tif",
        "source_id": f"A{number}.tif",
        "source_version": f"{1000 + number}-17-01234567",
        "site": "default",
        "stream_id": "s",
        "response": {"upload": {"job_id": 70 + number, "size_bytes": 100}, "preprocess": {}},
    }
    return JobAnswer(**fields | more)


class Server:
    """Holds jobs that are done, until they are deleted."""

    def __init__(self, *jobs: JobAnswer) -> None:
        self.held = {job.job_id: job for job in jobs}

    def delete_job(self, job_id: int) -> None:
        if self.held.pop(job_id, None) is None:
            raise NotFoundError(f"there is no job {job_id}")

    def jobs(self, *, ended_since: float, **_: Any) -> list[JobAnswer]:
        return [job for job in self.held.values() if (job.ended_at or 0) >= ended_since]

    def sources(self, _stream_id: str) -> list[JobAnswer]:
        return list(self.held.values())

    def stream(self, _stream_id: str) -> Any:
        held = len(self.held)
        return SimpleNamespace(progress=StreamProgress(jobs=held, open=0, done=held, failed=0))

    def workers(self) -> WorkersAnswer:
        return WorkersAnswer(workers=(), queues=())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sent_images, "JOBS_KEPT", 2)
    return tmp_path / "sent.sqlite"


def look(server: Server, file: Path) -> Following:
    """Look once at a server, and let leave what is too much."""
    with SentImages(file) as sent:
        departures = Departures(cast("HasteClient", server), sent)
        assert departures.finish("s") == 5
        following = Following(cast("HasteClient", server), ["s"], preprocesses=True, left=sent.sums())
        for job in following.look():
            departures.take(job)
        departures.go_on(following)
        following.look()
    return following


def test_the_oldest_confirmed_leave_and_stay_known_and_counted(file: Path) -> None:
    server = Server(*(done_job(number) for number in range(5)))
    following = look(server, file)

    assert sorted(server.held) == [3, 4]
    counts = (following.status.found, following.status.uploaded, following.status.preprocessed)
    assert counts == (5, 5, 5)
    assert (following.status.original_bytes, following.status.sent_bytes) == (5010, 500)
    assert following.status.waiting_bytes == 0
    with SentImages(file) as sent:
        assert [sent.knows(f"A{number}.tif", f"{1000 + number}-17-01234567") for number in range(5)] == [
            *[True] * 3,
            *[False] * 2,
        ]
        assert not sent.knows("A0.tif", "1000-18-01234567")
        assert (sent.count("s"), sent.count("other")) == (3, 0)
        assert sent.sums() == Sums(3, 3, 3003, 300)

    again = look(server, file)
    assert again.status == following.status


def test_what_was_not_confirmed_stays(file: Path) -> None:
    others = [
        done_job(0, state=503),
        done_job(1, response={}),
        *(done_job(number) for number in range(2, 5)),
    ]
    server = Server(*others)
    look(server, file)
    assert sorted(server.held) == [0, 1, 3, 4]


def test_a_kill_or_a_user_in_between_loses_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(*(done_job(number) for number in range(5)))

    class KilledError(BaseException):
        pass

    def killed(_job_id: int) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(server, "delete_job", killed)
        with pytest.raises(KilledError):
            look(server, file)
    with SentImages(file) as sent:
        assert sent.knows("A0.tif", "1000-17-01234567")
        assert sent.count("s") == 3
    del server.held[1]  # by a user
    assert look(server, file).status.sent_bytes == 500
    assert sorted(server.held) == [3, 4]


def test_one_that_ended_twice_leaves_once(file: Path) -> None:
    server = Server(*(done_job(number) for number in range(3)))
    with SentImages(file) as sent:
        following = Following(cast("HasteClient", server), ["s"], preprocesses=True)
        departures = Departures(cast("HasteClient", server), sent)
        for job in following.look():
            departures.take(job)
        departures.take(server.held[0].model_copy(update={"ended_at": 9.0}))
        departures.go_on(following)
    assert sorted(server.held) == [0, 2]


def test_where_nothing_can_be_written_the_jobs_stay(file: Path) -> None:
    server = Server(*(done_job(number) for number in range(5)))
    with SentImages(file) as sent:
        sent._connection.execute("PRAGMA max_page_count = 1")  # as on a full disk
        following = Following(cast("HasteClient", server), ["s"], preprocesses=True)
        departures = Departures(cast("HasteClient", server), sent)
        for job in following.look():
            departures.take(
                job.model_copy(update={"source_version": f"{job.source_version}{'0' * 5000}"}),
            )
        departures.go_on(following)
        assert sent.count("s") == 0
    assert len(server.held) == 5


def test_a_file_that_cannot_be_used_is_said_with_what_to_do(file: Path) -> None:
    file.write_bytes(b"what a power cut left of it " * 200)
    with pytest.raises(InvalidError, match=r"sent.sqlite is damaged .*: move it away"):
        SentImages(file)
    opened = Path("/proc/self/fd")
    if opened.is_dir():
        assert file not in [handle.readlink() for handle in opened.iterdir() if handle.exists()]
    with pytest.raises(TransientError, match="cannot be used now"):
        SentImages(file.parent / "nowhere" / "sent.sqlite")
