"""What a worker adds to features: which file they are of."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from haste_core.messages import Place, TaskMessage, TaskResult
from haste_core.states import TaskState
from haste_workers.answers import Answer
from haste_workers.context import TaskContext
from haste_workers.execution import Executor
from haste_workers.settings import WorkerSettings
from tests.unit.imaging.zarr_folders import noise, write_image
from tests.unit.workers.messages import task_message

CONTENT = b"pixels" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def count(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> dict[str, Any]:
    return {"count": len(context.source_path().name)}


def know(_job: Mapping[str, Any], _task: TaskMessage, _context: TaskContext) -> dict[str, Any]:
    return {"count": 6}


def tell(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> dict[str, Any]:
    return {"count": len(context.source_path().name), "size_bytes": 1, "sha256": "mine"}


def replaced(_job: Mapping[str, Any], _task: TaskMessage, context: TaskContext) -> Answer:
    return Answer(
        {"count": 6}, Place(url="s3://x/a.tif", site="default", sha256="b" * 64, size_bytes=7), "here"
    )


def disturbed(job: Mapping[str, Any], task: TaskMessage, context: TaskContext) -> dict[str, Any]:
    answer = count(job, task, context)
    os.utime(context.source_path(), ns=(0, 0))
    return answer


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "ab.tif"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def run(handler: Any, source: Path, **given: Any) -> TaskResult:
    settings = WorkerSettings(
        broker_url="amqp://localhost", roots={"nas": source.parent}, work_dir=source.parent.parent / "work"
    )
    executor = Executor({"echo": handler}, settings, "worker-1", source.parent.parent / "scratch")
    message = task_message(url=source.as_uri(), **{"is_scored": True, **given})
    return executor.run(message, on_progress=lambda _fraction, _note: None)


def test_features_are_of_a_file_with_a_size_and_a_hash(source: Path) -> None:
    assert run(count, source).response == {"count": 6, "size_bytes": len(CONTENT), "sha256": SHA256}


def test_other_tasks_and_handlers_that_tell_it_themselves_are_left_alone(source: Path) -> None:
    assert run(count, source, is_scored=False).response == {"count": 6}
    assert run(tell, source).response == {"count": 6, "size_bytes": 1, "sha256": "mine"}


def test_what_was_not_read_is_not_hashed(source: Path) -> None:
    assert run(know, source).response == {"count": 6, "size_bytes": len(CONTENT)}
    source.unlink()
    assert run(know, source).response == {"count": 6}


def test_a_place_that_is_known_is_believed(source: Path) -> None:
    assert run(know, source, sha256="a" * 64, size_bytes=5).response == {
        "count": 6,
        "size_bytes": 5,
        "sha256": "a" * 64,
    }
    result = run(replaced, source)
    assert result.response == {"count": 6, "size_bytes": 7, "sha256": "b" * 64}
    assert (result.message, result.place and result.place.url) == ("here", "s3://x/a.tif")


def test_a_file_that_changes_while_it_is_read_is_refused(source: Path) -> None:
    result = run(disturbed, source)
    assert result.state is TaskState.BAD_INPUT
    assert "has changed since this task began to read it" in result.message


def test_a_container_is_hashed_as_a_whole(source: Path) -> None:
    folder = source.parent / "a.zarr"
    write_image(folder, noise(8, 8), "yx")
    response = run(count, folder).response
    assert response["size_bytes"] > 0
    assert len(response["sha256"]) == 64
    plain = source.parent / "plain"
    plain.mkdir()
    assert run(count, plain).response == {"count": 5}
