"""Sidecars go where their object goes, under names that still match."""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haste_core.messages import DecisionNote, TaskResult
from haste_core.states import TaskState
from haste_workers.naming import marked, path_beside, sidecar_name
from tests.unit.workers.bench import RunTask


@pytest.mark.parametrize(
    ("stored", "source", "sidecar", "name"),
    [
        ("s/A01.tif", "A01.tif", "A01.tif.mdoc", "s/A01.tif.mdoc"),
        ("s/A01.tif", "A01.tif", "A01.xml", "s/A01.xml"),
        ("s/p/A01~0123456789abcdef.tif", "A01.tif", "A01.tif.mdoc", "s/p/A01~0123456789abcdef.tif.mdoc"),
        ("s/p/A01~0123456789abcdef.tif", "A01.tif", "A01.XML", "s/p/A01~0123456789abcdef.XML"),
        ("X_fractions~0123456789abcdef.tiff", "X_fractions.tiff", "X.xml", "X~0123456789abcdef.xml"),
        ("X_fractions.tiff", "X_fractions.tiff", "X.xml", "X.xml"),
        ("s/50%25.tif", "50%.tif", "50%.xml", "s/50%25.xml"),
        ("s/A01.tif", "A01.tif", "A01.x:y\\..\\z", "s/A01.x%3ay_.._z"),
        ("s/A01.tif", "A01.tif", "plate7.HTD", None),
        ("s/A1.tif", "A1.tif", "A10.xml", None),
        ("s/A01.tif", "A01.tif", "A01.tif", "s/A01.tif"),
    ],
)
def test_names(stored: str, source: str, sidecar: str, name: str | None) -> None:
    made = sidecar_name(PurePosixPath(stored), source=source, sidecar=sidecar)
    assert made == (None if name is None else PurePosixPath(name))


@given(st.text(max_size=300), st.sampled_from([".xml", ".tif.mdoc"]))
def test_no_sidecar_leaves_the_folder_of_its_object(more: str, suffix: str) -> None:
    stored = PurePosixPath(f"s/{'x' * 217}.tif")
    made = sidecar_name(stored, source="A.tif", sidecar=f"A.{more}{suffix}".replace("/", ""))
    assert made is not None
    assert made.parent == stored.parent
    assert len(marked(made, "0" * 16).name.encode()) <= 255


@pytest.mark.parametrize(
    ("source_id", "source_url", "sidecar_url", "path"),
    [
        ("a.tif", "root://nas/p/a.tif", "root://nas/p/p.HTD", "p.HTD"),
        ("T_1/a.tif", "root://nas/p/T_1/a.tif", "root://nas/p/p.HTD", "p.HTD"),
        ("T_1/a.tif", "root://nas/p/T_1/a.tif", "root://nas/p/T_1/p.HTD", "T_1/p.HTD"),
        ("T 1/a.tif", "root://nas/p/T%201/a.tif", "root://nas/p/T%201/p.HTD", "T 1/p.HTD"),
        ("T_1/a.tif", "root://nas/p/T_1/a.tif", "root://nas/elsewhere/p.HTD", "T_1/p.HTD"),
        ("field-7", "root://nas/p/a.tif", "root://nas/p/p.HTD", "p.HTD"),
    ],
)
def test_place_beside(source_id: str, source_url: str, sidecar_url: str, path: str) -> None:
    assert path_beside(source_id, source_url=source_url, sidecar_url=sidecar_url) == path


class Tiered:
    """A field with its sidecars, and two tiers."""

    def __init__(self, data_dir: Path, tmp_path: Path, run_task: RunTask) -> None:
        self.source = data_dir / "A01.tif"
        self.mdoc = data_dir / "A01.tif.mdoc"
        self.plate = data_dir / "plate.HTD"
        for number, path in enumerate((self.source, self.mdoc, self.plate)):
            path.write_bytes(b"%d" % number * 10)
        self.tiers = {name: {"root": tmp_path / "tiers" / name} for name in "AB"}
        for tier in self.tiers.values():
            tier["root"].mkdir(parents=True)
        self._tmp_path = tmp_path
        self._run_task = run_task

    def put(self, tier: str = "A", *, removes: bool = False, **more: Any) -> TaskResult:
        decision = DecisionNote(
            decision_id=1, score=0.8, tier=tier, reason="sharp", enforce=True, removes=removes
        )
        sidecars = [self.mdoc.as_uri(), self.plate.as_uri()]
        return self._run_task(
            "tier",
            self.source,
            settings={"tiers": self.tiers},
            decision=decision,
            source_id="A01.tif",
            sidecars=sidecars,
            **more,
        )

    def found(self, tier: str = "A") -> set[str]:
        root = self._tmp_path / "tiers" / tier / "plate7"
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def tiered(data_dir: Path, tmp_path: Path, run_task: RunTask) -> Tiered:
    return Tiered(data_dir, tmp_path, run_task)


def test_sidecars_lie_beside_their_object_and_the_place_names_them(tiered: Tiered) -> None:
    result = tiered.put()
    assert (result.state, result.message) == (TaskState.DONE, "")
    assert tiered.found() == {"A01.tif", "A01.tif.mdoc", "plate.HTD"}
    assert result.place is not None
    assert result.place.sidecars is not None
    told = {sidecar.source_url: sidecar for sidecar in result.place.sidecars}
    assert set(told) == {tiered.mdoc.as_uri(), tiered.plate.as_uri()}
    assert told[tiered.mdoc.as_uri()].sha256 == hashlib.sha256(b"1" * 10).hexdigest()
    assert result.response["sidecars"] == [sidecar.url for sidecar in result.place.sidecars]
    again = tiered.put()
    assert (again.place, again.response) == (result.place, result.response)


def test_a_renamed_object_keeps_its_sidecar(tiered: Tiered) -> None:
    tiered.put()
    tiered.source.write_bytes(b"later pixels")
    tiered.mdoc.write_bytes(b"later text")
    tiered.put()
    mark = hashlib.sha256(b"later pixels").hexdigest()[:16]
    assert tiered.found() - {"A01.tif", "A01.tif.mdoc", "plate.HTD"} == {
        f"A01~{mark}.tif",
        f"A01~{mark}.tif.mdoc",
    }


def test_what_has_gone_does_not_hold_the_object_back(tiered: Tiered) -> None:
    tiered.mdoc.unlink()
    result = tiered.put()
    assert result.state is TaskState.DONE
    assert "A01.tif.mdoc" in result.message
    assert result.response["sidecars_missing"].keys() == {tiered.mdoc.as_uri()}
    assert tiered.found() == {"A01.tif", "plate.HTD"}


def test_sidecars_outside_the_roots_are_not_read(tiered: Tiered, tmp_path: Path) -> None:
    tiered.plate = tmp_path / "secret.HTD"
    tiered.plate.write_bytes(b"not yours")
    result = tiered.put()
    assert result.state is TaskState.DONE
    assert "outside" in result.response["sidecars_missing"][tiered.plate.as_uri()]
    assert tiered.found() == {"A01.tif", "A01.tif.mdoc"}


def test_an_object_that_goes_on_takes_its_sidecars_from_where_it_is(tiered: Tiered) -> None:
    place = tiered.put("A").place
    for path in (tiered.source, tiered.mdoc, tiered.plate):
        path.unlink()
    result = tiered.put("B", place=place)
    assert (result.state, result.message) == (TaskState.DONE, "")
    assert tiered.found("B") == {"A01.tif", "A01.tif.mdoc", "plate.HTD"}


def test_a_moved_object_takes_its_own_sidecars_away_and_leaves_those_of_its_folder(tiered: Tiered) -> None:
    copied = tiered.put(removes=True)
    assert copied.leaving is not None
    assert tiered.mdoc.exists()
    for _ in range(2):  # the second time as after a kill
        removed = tiered.put(removes=True, place=copied.place, leaving=copied.leaving)
        assert (removed.state, removed.message) == (TaskState.DONE, "")
        assert (removed.place, removed.response["sidecars"]) == (copied.place, copied.response["sidecars"])
        assert [path.exists() for path in (tiered.source, tiered.mdoc, tiered.plate)] == [False, False, True]
    copied = tiered.put("B", removes=True, place=copied.place)
    tiered.put("B", removes=True, place=copied.place, leaving=copied.leaving)
    assert tiered.found("A") == {"plate.HTD"}
    assert tiered.found("B") == {"A01.tif", "A01.tif.mdoc", "plate.HTD"}


def test_a_sidecar_that_was_written_to_stays_where_it_was(tiered: Tiered) -> None:
    copied = tiered.put(removes=True)
    tiered.mdoc.write_bytes(b"more text")
    removed = tiered.put(removes=True, place=copied.place, leaving=copied.leaving)
    assert removed.state is TaskState.DONE
    assert "A01.tif.mdoc has changed" in removed.message
    assert (tiered.source.exists(), tiered.mdoc.read_bytes()) == (False, b"more text")
