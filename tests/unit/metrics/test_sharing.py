"""The counts of several processes, by their files."""

from pathlib import Path

from haste_core.routing import Route
from haste_server.metrics.counts import Counts
from haste_server.metrics.sharing import SharedCounts, forget

QUEUE = {"key": "score", "site": "lab"}


def process(folder: Path | None) -> SharedCounts:
    return SharedCounts(Counts(), folder)


def shown(counts: SharedCounts, name: str, **labels: str) -> list[float]:
    samples = (sample for family in counts.families() for sample in family.samples)
    return [sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)]


def hand_out(counts: SharedCounts, number: int) -> None:
    counts.counts.hand_out(Route("score", "lab"), number)


def test_every_process_shows_the_sum_of_all(tmp_path: Path) -> None:
    engine, web, other_web = (process(tmp_path / "run" / "counts") for _ in range(3))
    for one in (engine, web):
        one.start()
    assert shown(web, "haste_upload_bytes_total") == [0]
    hand_out(engine, 3)
    engine.stop()
    web.counts.receive(100)
    assert shown(web, "haste_upload_bytes_total") == [100]
    other_web.counts.receive(20)

    for asked in (other_web, web):
        assert shown(asked, "haste_upload_bytes_total") == [120]
        assert shown(asked, "haste_hand_outs_total", **QUEUE) == [3]
    web.stop()


def test_what_a_process_counted_stays_when_another_takes_its_place(tmp_path: Path) -> None:
    first, web = process(tmp_path), process(tmp_path)
    hand_out(first, 5)
    first.families()
    second = process(tmp_path)
    hand_out(second, 2)
    second.families()
    assert shown(web, "haste_hand_outs_total", **QUEUE) == [7]

    forget(tmp_path)
    assert shown(web, "haste_hand_outs_total", **QUEUE) == []


def test_a_full_disk_loses_no_counts(tmp_path: Path) -> None:
    (tmp_path / "counts").write_text("a file where the folder should be")
    engine = process(tmp_path / "counts")
    hand_out(engine, 1)
    assert engine.families() == []
    (tmp_path / "counts").unlink()

    assert shown(engine, "haste_hand_outs_total", **QUEUE) == [1]


def test_a_single_process_needs_no_files() -> None:
    alone = process(None)
    alone.start()
    hand_out(alone, 4)
    alone.stop()

    assert shown(alone, "haste_hand_outs_total", **QUEUE) == [4]
    assert not [family for family in alone.families() if "created" in family.name]
