import contextlib
import csv
import io
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pandas
import pyarrow
import pyarrow.parquet
import pytest

from haste_apps.reporting import files
from haste_apps.reporting.files import write_csv, write_json, write_parquet, write_whole
from haste_apps.reporting.page import Report
from haste_apps.reporting.tiers import tier_rows
from haste_client.images import COLUMNS, Stream
from haste_core.errors import ConflictError, InvalidError, NotFoundError
from haste_core.policies import IntervalPolicy
from haste_runtime.charts import ticks
from haste_server.web.tiers import tier_lines
from tests.contract.store_bench import PIPELINE as SCORED
from tests.unit.apps.reporting.streams import (
    PIPELINE,
    decision,
    image,
    many_images,
    report_of,
    stream,
)


def written(write: Callable[[Report, BinaryIO], None], report: Report) -> bytes:
    sink = io.BytesIO()
    write(report, sink)
    return sink.getvalue()


csv_of, json_of, parquet_of = (partial(written, write) for write in (write_csv, write_json, write_parquet))


def test_tiers_are_summed_up_as_one_does_by_hand() -> None:
    images = many_images(1000)
    by_hand: dict[str, list[Any]] = defaultdict(list)
    for one in images:
        by_hand[one.tier].append(one)
    rows = tier_rows(images, PIPELINE)
    assert [row.tier for row in rows] == ["tierA", "tierB", "tierC", "tierD", "empty"]
    for row in rows:
        members = by_hand[row.tier]
        assert (row.count, row.size_bytes) == (len(members), 9 * len(members))
        assert row.share == pytest.approx(len(members) / 1000)
        scores = [one.score for one in members if one.score is not None]
        assert row.mean_score == (pytest.approx(sum(scores) / len(scores)) if scores else None)
    assert sum(row.share for row in rows) == pytest.approx(1)


def test_deleted_images_stand_in_the_tables_with_their_time_and_in_no_tier() -> None:
    report = report_of([image(1, 0.8), image(2, 0.1, deleted_at=1.5)])
    told = json.loads(json_of(report))
    assert [(row["tier"], row["count"]) for row in told["tiers"] if row["count"]] == [("tierA", 1)]
    assert told["deleted"] == {"count": 1, "size_bytes": 9}
    rows = list(csv.DictReader(io.StringIO(csv_of(report).decode())))
    assert [row["deleted_at"] for row in rows] == ["", "1.5"]


def test_tiers_outside_the_policy_stand_between_its_intervals_and_the_undefined() -> None:
    images = [
        image(1, 0.9, tier="kept"),
        image(2, 0.2, tier="old"),
        image(3, None, tier="gone"),
        image(4, None),
    ]
    names = [row.tier for row in tier_rows([*images, image(4, None)], PIPELINE)]
    assert names == ["tierA", "tierB", "tierC", "tierD", "kept", "old", "empty", "gone"]
    ranks = PIPELINE.model_copy(update={"policy": {"type": "top-k", "k": 1, "tier": "kept", "rest": "old"}})
    assert [(row.tier, row.range_text) for row in tier_rows(images[:2], ranks)] == [
        ("kept", "-"),
        ("old", "-"),
    ]


def test_a_tier_of_two_intervals_is_shown_with_both() -> None:
    borders = [("cold", 0, 0.2), ("hot", 0.2, 0.8), ("cold", 0.8, 0.9), ("cold", 0.9, 1)]
    written = {
        "undefined": "none",
        "intervals": [{"tier": tier, "lo": lo, "hi": hi} for tier, lo, hi in borders],
    }
    both = [("cold", "0.00 to 0.20, 0.80 to 1.00"), ("hot", "0.20 to 0.80")]
    rows = tier_rows([image(1, 0.5, tier="hot")], PIPELINE.model_copy(update={"policy": written}))
    assert [(row.tier, row.range_text) for row in rows] == both
    policy = IntervalPolicy.model_validate(written)
    lines = tier_lines({}, SCORED.model_copy(update={"policy": policy}))
    assert [(line.tier, line.range_text) for line in lines] == both


def test_a_csv_file_says_the_same_of_every_image() -> None:
    odd = 'a,"b"\n=1+1 ä'
    images = [
        image(1, 0.25, metadata={"well": "A1", "note": odd}, location=[1, 2]),
        image(2, None, reason=odd, features={"snr": {"a": 1}}),
    ]
    made = [decision(1001, "tierC", origin="pin", made_by="ada", supersedes=7)]
    first, second = csv.DictReader(
        io.StringIO(csv_of(report_of(images, decisions=made)).decode(), newline="")
    )
    assert list(first)[: len(COLUMNS)] == list(COLUMNS)
    assert (first["score"], first["tier"], first["location"]) == ("0.25", "tierC", "[1.0, 2.0]")
    assert (first["metadata.note"], second["reason"]) == (odd, odd)
    assert (second["score"], second["features.snr"], second["metadata.well"]) == ("", '{"a": 1}', "")
    assert (first["decision.made_by"], first["decision.supersedes"]) == ("ada", "7")
    assert json.loads(first["decision.policy"]) == PIPELINE.policy
    assert (first["decision.software_version"], second["decision.software_version"]) == ("0.1.0", "")


def test_json_holds_superseded_decisions_too() -> None:
    made = [decision(1, "tierD"), decision(2, "tierA", supersedes=1)]
    written = json.loads(json_of(report_of([image(1, 0.1)], decisions=made)))
    assert [one["tier"] for one in written["decisions"]] == ["tierD", "tierA"]
    assert written["images"][0]["features"]["plls"] == pytest.approx(-1.8883, abs=1e-4)  # -1.4 - ln 9 / 4.5
    assert written["stream"]["pipeline"]["name"] == "focus-tier"
    assert [tier["count"] for tier in written["tiers"]] == [0, 0, 0, 1]


def test_parquet_keeps_types_times_and_what_the_stream_was() -> None:
    images = [image(1, 0.1, metadata={"t": 1}), image(2, 0.6, metadata={"t": "late"}, timestamp=1.5)]
    table = pyarrow.parquet.read_table(pyarrow.BufferReader(parquet_of(report_of(images))))
    assert table["score"].to_pylist() == [0.1, 0.6]
    assert table["metadata.t"].to_pylist() == ["1", "late"]
    decided = [moment.timestamp() for moment in table["decided_at"].to_pylist()]
    assert decided == [1_790_000_001, 1_790_000_002]
    assert [moment and moment.timestamp() for moment in table["timestamp"].to_pylist()] == [None, 1.5]
    assert json.loads(table.schema.metadata[b"haste"])["stream"]["stream_id"] == "plate7"


@pytest.mark.parametrize("images", [[], [image(1, None)]])
def test_nothing_and_nothing_but_undefined_scores_keep_their_columns(images: list[Any]) -> None:
    report = report_of(images)
    table = pyarrow.parquet.read_table(pyarrow.BufferReader(parquet_of(report)))
    assert set(COLUMNS) <= set(table.column_names)
    assert str(table.schema.field("score").type) == "double"
    assert csv_of(report).decode().startswith(",".join(COLUMNS))


def stream_with(images: Callable[..., Any]) -> Stream:
    return Stream.of(stream().model_dump(), images, lambda _stream_id: stream())


def test_a_table_of_pandas_has_a_row_for_each_image() -> None:
    images = many_images(100)

    def answering(stream_id: str, **chosen_by: Any) -> Any:
        assert (stream_id, chosen_by) == ("plate7", {"tier": None})
        return iter(images)

    frame = stream_with(answering).to_pandas(tier=None)
    assert frame["metadata.well"].tolist() == [one.metadata["well"] for one in images]
    assert frame["score"].isna().sum() == 6  # 0, 17, … 85
    expected = sum(one.score for one in images if one.tier == "tierA") / len(frame[frame.tier == "tierA"])
    assert frame.groupby("tier")["score"].mean()["tierA"] == pytest.approx(expected)
    assert frame["decided_at"][3] == pandas.Timestamp("2026-09-21 14:13:23", tz="UTC")


def test_a_table_of_pandas_without_images_has_its_columns() -> None:
    frame = stream_with(lambda _stream_id: iter(())).to_pandas()
    assert list(frame.columns) == list(COLUMNS)


def saying(content: bytes) -> Callable[[BinaryIO], None]:
    def write(sink: BinaryIO) -> None:
        sink.write(content)

    return write


def test_a_file_is_replaced_only_if_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    write_whole(path, saying(b"first"), force=False)
    with pytest.raises(ConflictError, match="--force"):
        write_whole(path, saying(b"second"), force=False)
    assert path.read_bytes() == b"first"
    write_whole(path, saying(b"third"), force=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.csv"]
    assert path.read_bytes() == b"third"
    with pytest.raises(NotFoundError, match="there is no folder"):
        write_whole(tmp_path / "none" / "report.csv", saying(b""), force=True)


def test_a_dash_is_stdout(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        write_whole(Path("-"), saying(b"a,b\n"), force=False)
    assert capfdbinary.readouterr().out == b"a,b\n"
    assert list(tmp_path.iterdir()) == []


def test_what_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def write(sink: BinaryIO) -> None:
        sink.write(b"begun")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "report.csv", write, force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [write_csv, write_json, write_parquet])
def test_a_table_that_nobody_reads_ends_silently(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        with pytest.raises(SystemExit) as ended:
            write_whole(Path("-"), partial(write, report_of(many_images(50))), force=False)
        assert ended.value.code == 141


KINDS = [None, True, 1, 2**53 + 1, 2**63, 2**70, 1.5, "word"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_in_parts_has_the_type_of_all_its_values(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_PER_GROUP", 1)
    images = [
        image(number, metadata={f"x{column}": value for column, value in enumerate(values)})
        for number, values in enumerate([KINDS, [kind] * len(KINDS)])
    ]
    file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(parquet_of(report_of(images))))
    table = file.read()
    assert file.num_row_groups == 2
    for column, other in enumerate(KINDS):
        try:
            expected = pyarrow.array([other, kind])
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
            expected = pyarrow.array([None if one is None else str(one) for one in (other, kind)])
        got = table[f"metadata.x{column}"]
        assert (got.type, got.to_pylist()) == (expected.type, expected.to_pylist())


def test_json_is_written_as_a_whole_object_would_be() -> None:
    images = [image(1, 0.1, reason='a "b"\n}ä', location=[1, 2]), *many_images(20)]
    made = [decision(1, "tierD"), decision(2, "tierA", supersedes=1)]
    for report in (report_of(images, decisions=made), report_of([])):
        text = json_of(report).decode()
        assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1) + "\n"
        assert json.loads(text)["images"] == [one.model_dump(mode="json") for one in report.images]


def test_a_library_that_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidError, match=r"pyarrow .* pip install 'haste-server\[parquet\]'"):
        parquet_of(report_of([]))
    monkeypatch.setitem(sys.modules, "pandas", None)
    nothing = stream_with(lambda _stream_id: iter(()))
    with pytest.raises(InvalidError, match=r"pandas .* pip install 'haste-server\[pandas\]'"):
        nothing.to_pandas()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-2.6, -0.01), (0, 3e6), (-1e-7, 1e-7), (99.5, 100.5)])
def test_ticks_are_few_round_numbers_inside_the_axis(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 3 <= len(marks) <= 8
    assert low - 1e-12 <= marks[0] <= marks[-1] <= high + 1e-12
    steps = [later - earlier for earlier, later in pairwise(marks)]
    assert steps == pytest.approx([steps[0]] * len(steps))
