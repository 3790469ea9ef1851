"""A microscope's computer: an embedded server in this process, with workers of its own for both keys."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from haste_core.jobs import JobRecord
from haste_core.jobspec import JobSpec, parse_job_spec
from haste_core.states import TaskState
from haste_server.bootstrap import build
from haste_server.settings import ServerSettings
from haste_server.store.database import Database
from haste_server.store.sql import SqlStore
from tests.contract.edge_bench import TREE
from tests.contract.store_bench import PIPELINE
from tests.integration.edge_handlers import RAW_BYTES, WORTHY

IMAGES = 40
HANDLERS = "tests.integration.edge_handlers"


def settings(folder: Path) -> ServerSettings:
    return ServerSettings(
        data_dir=folder,
        workers=0,
        slots={"preprocess": 1, "upload": 1},
        selectors={"preprocess": "edge", "upload": "edge"},
        handlers={key: f"{HANDLERS}:{key}" for key in ("preprocess", "upload")},
        lease_s=5,
        shutdown_s=5,
    )


def images(folder: Path) -> list[JobSpec]:
    source = folder / "image"
    source.write_bytes(bytes(8))
    return [
        parse_job_spec(
            {
                "source_url": source.as_uri(),
                "source_id": f"i{number}",
                "source_version": f"{RAW_BYTES}-1{number}-0123abcd",
                "index": number,
                "tasks": TREE,
            }
        )
        for number in range(IMAGES)
    ]


@contextmanager
def running(folder: Path) -> Iterator[SqlStore]:
    """Run the server, and open its store beside it."""
    server = build(settings(folder))
    server.prepare_folders()
    server.prepare_database()
    parts = server.whole("http://127.0.0.1:9")  # nobody asks it
    database = Database(server.settings.database)
    parts.start()
    try:
        yield SqlStore(database, server._store(database).rules, PIPELINE)
    finally:
        parts.stop()
        database.close()


def jobs(store: SqlStore, job_ids: list[int]) -> list[JobRecord]:
    return [store.job(job_id) for job_id in job_ids]


def wait_for(store: SqlStore, job_ids: list[int], sent: int, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while sum(job.state is TaskState.DONE for job in jobs(store, job_ids)) < sent:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def assert_well_ordered(ended: list[JobRecord]) -> None:
    ways = [[task.state for task in job.tasks] for job in ended]
    assert all(way in ([200, 200], [204, 200]) for way in ways)
    assert all(task.failures == task.losses == 0 for job in ended for task in job.tasks)
    preprocessed = [job.spec.index for job in ended if job.tasks[0].state is TaskState.DONE]
    worthy = [index for index in preprocessed if index is not None and index < WORTHY]
    assert len(worthy) >= WORTHY // 2  # how many more are preprocessed depends on how busy this machine is


def test_what_saves_much_is_preprocessed_and_all_is_sent(tmp_path: Path) -> None:
    with running(tmp_path / "data") as store:
        job_ids = [answer.job_id for answer in store.submit(images(tmp_path), now=time.time())]
        wait_for(store, job_ids, sent=IMAGES)
        assert_well_ordered(jobs(store, job_ids))


@pytest.mark.slow
def test_a_restart_in_the_middle_changes_nothing_of_that(tmp_path: Path) -> None:
    with running(tmp_path / "data") as store:
        job_ids = [answer.job_id for answer in store.submit(images(tmp_path), now=time.time())]
        wait_for(store, job_ids, sent=IMAGES // 4)
        assert not all(job.state is TaskState.DONE for job in jobs(store, job_ids))
    with running(tmp_path / "data") as store:
        wait_for(store, job_ids, sent=IMAGES)
        assert_well_ordered(jobs(store, job_ids))
