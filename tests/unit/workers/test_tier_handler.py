"""The handler of `tier`: does what the decision says, and nothing else."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from haste_core.messages import DecisionNote
from haste_core.states import TaskState
from haste_workers.tiers import posix
from tests.unit.workers.bench import RunTask


def decision(tier: str = "tierA", *, enforce: bool = True, score: float | None = 0.83) -> DecisionNote:
    return DecisionNote(decision_id=1, score=score, tier=tier, reason="sharp", enforce=enforce)


@pytest.fixture
def tiers(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "tiers" / "A"
    folder.mkdir(parents=True)
    return {"tiers": {"tierA": {"driver": "posix", "root": folder}}}


@pytest.fixture
def source(data_dir: Path) -> Path:
    path = data_dir / "field.tif"
    path.write_bytes(b"pixels")
    return path


def test_observed_decision_moves_nothing(
    run_task: RunTask, source: Path, tiers: dict[str, Any], tmp_path: Path
) -> None:
    result = run_task("tier", source, settings=tiers, decision=decision(enforce=False))
    assert result.state is TaskState.DONE
    assert result.response == {
        "tier": "tierA",
        "interestingness": 0.83,
        "reason": "sharp",
        "moved": False,
        "size_bytes": 6,
    }
    assert result.place is None
    assert not any((tmp_path / "tiers" / "A").iterdir())


def test_observing_needs_no_tier_on_this_worker(run_task: RunTask, source: Path) -> None:
    assert run_task("tier", source, decision=decision("far", enforce=False)).state is TaskState.DONE


def test_enforced_decision_puts_a_verified_copy_and_keeps_the_original(
    run_task: RunTask, source: Path, tiers: dict[str, Any], tmp_path: Path
) -> None:
    result = run_task("tier", source, settings=tiers, decision=decision(), source_id="A01/site1")
    copy = tmp_path / "tiers" / "A" / "plate7" / "A01" / "site1.tif"
    assert result.state is TaskState.DONE, result.message
    assert copy.read_bytes() == source.read_bytes() == b"pixels"
    assert result.response["moved"] is True
    assert result.response["interestingness"] == 0.83
    assert result.place is not None
    assert result.place.url == copy.as_uri()
    assert result.place.sha256 == hashlib.sha256(b"pixels").hexdigest()


def test_place_in_a_tier_can_be_read_by_the_next_task(
    run_task: RunTask, source: Path, tiers: dict[str, Any]
) -> None:
    place = run_task("tier", source, settings=tiers, decision=decision()).place
    assert place is not None
    again = run_task("tier", place.url, settings=tiers, decision=decision(enforce=False), sha256=place.sha256)
    assert again.state is TaskState.DONE


def test_undefined_score_is_told_as_none(run_task: RunTask, source: Path) -> None:
    result = run_task("tier", source, decision=decision(enforce=False, score=None))
    assert result.response["interestingness"] is None


def test_unknown_tier_names_the_tier_and_the_setting(
    run_task: RunTask, source: Path, tiers: dict[str, Any]
) -> None:
    result = run_task("tier", source, settings=tiers, decision=decision("tierZ"))
    assert result.state is TaskState.ERROR
    assert "'tierZ'" in result.message
    assert "tierA" in result.message
    assert "HASTE_TIERS" in result.message


def test_task_without_decision(run_task: RunTask, source: Path, tiers: dict[str, Any]) -> None:
    result = run_task("tier", source, settings=tiers)
    assert result.state is TaskState.ERROR
    assert "without a decision" in result.message


def test_file_that_changed_after_it_was_scored_is_not_put(
    run_task: RunTask, source: Path, tiers: dict[str, Any], tmp_path: Path
) -> None:
    earlier = hashlib.sha256(b"earlier pixels").hexdigest()
    decided = decision().model_copy(update={"sha256": earlier})
    result = run_task("tier", source, settings=tiers, decision=decided)
    assert result.state is TaskState.BAD_INPUT
    assert "has changed since it was decided about" in result.message
    assert "Submit it again, and its new content becomes a job of its own" in result.message
    assert not list((tmp_path / "tiers").rglob("*.tif"))


def test_missing_source_is_404(run_task: RunTask, data_dir: Path, tiers: dict[str, Any]) -> None:
    result = run_task("tier", data_dir / "gone.tif", settings=tiers, decision=decision())
    assert result.state is TaskState.SOURCE_MISSING


def test_full_disk_is_tried_again_later(
    run_task: RunTask, source: Path, tiers: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(posix, "stage_copy", full)
    result = run_task("tier", source, settings=tiers, decision=decision())
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "is full" in result.message
    assert str(tmp_path / "tiers" / "A") in result.message
