"""What pages show of a microscope's computer, on every database."""

from typing import Any

import pytest

from haste_core.figures import EdgeFlow, Preprocessed
from haste_core.routing import Route
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, result_of, spec, submitted

EDGE = {"taskSequential": [{"Task": {"task_key": "preprocess", "optional": True}}, "upload"]}
POSITIONS = {"preprocess": 0, "upload": 1}


@pytest.fixture
def edge(store: SqlStore) -> SqlStore:
    """Return a store with images at each place of the way; three are preprocessed, two of these sent."""
    jobs = submitted(
        store, *(spec(EDGE, source_id=f"A{number}", stream_id="s", index=number) for number in range(8))
    )
    submitted(store, spec(EDGE, source_id="A0", stream_id="other"))
    for number in range(3):
        told = {"bytes_before": 1000, "bytes_after": 900 - number * 100, "cpu_s": 77.0}
        take(store, jobs[number], "preprocess", started_at=NOW + number, response=told)
    take(store, jobs[3], "preprocess", ends=False)
    for number, size_bytes in ((0, 900), (1, 800), (4, 1000), (5, 1000)):
        take(store, jobs[number], "upload", started_at=NOW + number, response={"size_bytes": size_bytes})
    take(store, jobs[6], "upload", ends=False)
    return store


def take(
    store: SqlStore, job_id: int, key: str, *, ends: bool = True, started_at: float = NOW, **more: Any
) -> None:
    """Have a task of one image run, for half a second."""
    task_id = store.job(job_id).tasks[POSITIONS[key]].task_id
    (message,) = store.claim_chosen(Route(key, "default"), [task_id], now=started_at, lease_s=30)
    if ends:
        result = result_of(message, started_at=started_at, ended_at=started_at + 0.5, **more)
        store.record([result], now=started_at + 0.5)


def test_images_and_bytes_are_counted_on_their_way(edge: SqlStore) -> None:
    flow = edge.edge_flow("s")

    assert flow == EdgeFlow(
        found=8,
        preprocessing=1,
        preprocessed=3,
        sending=1,
        sent=4,
        sent_bytes=3700,
        original_bytes=4000,
    )
    assert flow.saved_share == pytest.approx(300 / 4000)
    assert edge.edge_flow("none") == EdgeFlow()
    assert edge.edge_flow("none").saved_share == 0


def test_what_was_sent_lately_is_summed_up(edge: SqlStore) -> None:
    assert edge.sent_bytes("s", since=NOW) == 3700
    assert edge.sent_bytes("s", since=NOW + 3) == 2000
    assert edge.sent_bytes("s", since=NOW + 9) == 0


def test_preprocessed_images_tell_what_they_saved_in_what_time(edge: SqlStore) -> None:
    wanted = [Preprocessed(number, NOW + number, 100.0 * (number + 1), 0.5) for number in range(3)]

    assert edge.preprocessed("s", limit=3) == wanted
    assert edge.preprocessed("s", limit=2) == wanted[::2]
    assert edge.preprocessed("s", limit=1) == wanted[:1]
    assert edge.preprocessed("none", limit=3) == []


def test_images_that_were_sent_as_found_are_told_in_steps(edge: SqlStore) -> None:
    assert edge.sent_as_found("s", width=1) == [4, 5]
    assert edge.sent_as_found("s", width=3) == [4]
    assert edge.sent_as_found("none", width=3) == []


@pytest.mark.parametrize(
    "told",
    [{}, {"bytes_before": "many", "bytes_after": 1}, {"bytes_before": 1}, {"bytes_after": None}],
)
def test_what_a_handler_of_ones_own_tells_may_be_anything(store: SqlStore, told: dict[str, Any]) -> None:
    (job_id,) = submitted(store, spec(EDGE, stream_id="s"))
    take(store, job_id, "preprocess", response=told)
    take(store, job_id, "upload", response={"size_bytes": 5})

    assert store.preprocessed("s", limit=9) == []
    assert store.edge_flow("s").sent == 1


def test_images_without_an_index_are_numbered_as_they_came(store: SqlStore) -> None:
    submitted(store, spec(EDGE, stream_id="other"))
    jobs = submitted(store, *(spec(EDGE, source_id=f"A{number}", stream_id="s") for number in range(3)))
    take(store, jobs[2], "preprocess", response={"bytes_before": 9, "bytes_after": 1})
    take(store, jobs[1], "upload", response={"size_bytes": 5})

    assert [image.number for image in store.preprocessed("s", limit=9)] == [2]
    assert store.sent_as_found("s", width=1) == [1]
