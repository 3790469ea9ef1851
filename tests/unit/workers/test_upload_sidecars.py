"""The handler of `upload` sends an object's sidecars before it, to the real landing area."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haste_core.messages import DecisionNote
from haste_core.routing import Roots
from haste_core.states import TaskState
from haste_workers import sidecars as sending_sidecars
from tests.unit.workers.bench import RunTask
from tests.unit.workers.landing import TOKEN, Landing, running_landing


@pytest.fixture
def landing(tmp_path: Path) -> Iterator[Landing]:
    with running_landing(tmp_path / "landing") as landing:
        yield landing


@pytest.fixture
def source(data_dir: Path) -> Path:
    for name in ("A01.tif", "A01.tif.mdoc", "plate7.HTD"):
        (data_dir / name).write_bytes(b"content of " + name.encode())
    return data_dir / "A01.tif"


def of(landing: Landing) -> dict[str, Any]:
    return {"server_url": landing.url, "token": TOKEN}


def beside(source: Path, *names: str) -> list[str]:
    return [source.with_name(name).as_uri() for name in names]


def kept(landing: Landing) -> dict[str, bytes]:
    """Return the sidecars that have landed, by name."""
    return {path.name: path.read_bytes() for path in landing.folder.glob("plate7/sidecars/*/*")}


def test_sidecars_are_there_before_their_object(run_task: RunTask, landing: Landing, source: Path) -> None:
    names = ("A01.tif.mdoc", "plate7.HTD")
    result = run_task("upload", source, settings=of(landing), sidecars=beside(source, *names))
    assert result.state is TaskState.DONE, result.message
    assert kept(landing) == {name: b"content of " + name.encode() for name in names}
    assert [said.sidecar for said in landing.said] == ["yes", "yes", "no"]
    assert result.place is not None
    assert result.place.sidecars is not None
    for sidecar, name in zip(result.place.sidecars, names, strict=True):
        content = b"content of " + name.encode()
        assert sidecar.source_url == source.with_name(name).as_uri()
        assert (sidecar.sha256, sidecar.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        path = Roots.parse({"landing": landing.folder}).path_of(sidecar.url)
        assert Path(path).read_bytes() == content
    assert result.response["sidecars"] == [sidecar.url for sidecar in result.place.sidecars]


def test_again_nothing_is_sent_twice(run_task: RunTask, landing: Landing, source: Path) -> None:
    sidecars = beside(source, "A01.tif.mdoc")
    first = run_task("upload", source, settings=of(landing), sidecars=sidecars)
    received = landing.received_bytes
    second = run_task("upload", source, settings=of(landing), sidecars=sidecars)
    assert second.place == first.place
    assert landing.received_bytes == received


def test_a_sidecar_that_cannot_go_holds_nothing_back(
    run_task: RunTask, landing: Landing, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside.xml").touch()
    source.with_name("A01:1.xml").write_text("no name for a file of Windows")
    outside = (tmp_path / "outside.xml").as_uri()
    sidecars = [*beside(source, "gone.xml", "A01:1.xml", "A01.tif.mdoc"), outside]
    result = run_task("upload", source, settings=of(landing), sidecars=sidecars)
    assert result.state is TaskState.DONE
    assert kept(landing).keys() == {"A01.tif.mdoc"}
    missing = result.response["sidecars_missing"]
    assert "there is no file" in missing[sidecars[0]]
    assert "is no name for a sidecar" in missing[sidecars[1]]
    assert "outside" in missing[sidecars[3]]
    assert "the object is there, but without its sidecars" in result.message


@pytest.mark.parametrize(("status", "state"), [(503, TaskState.REMOTE_TROUBLE), (401, TaskState.ERROR)])
def test_a_server_that_takes_nothing_is_not_the_sidecars_fault(
    run_task: RunTask, landing: Landing, source: Path, status: int, state: TaskState
) -> None:
    landing.refusal = (status, {"detail": "not now"})
    result = run_task("upload", source, settings=of(landing), sidecars=beside(source, "A01.tif.mdoc"))
    assert result.state is state
    assert len(landing.creations) == 1


def test_a_sidecar_that_changes_while_it_is_sent_is_sent_later(
    run_task: RunTask, landing: Landing, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_sidecars, "sha256_of", lambda _path: "0" * 64)
    result = run_task("upload", source, settings=of(landing), sidecars=beside(source, "A01.tif.mdoc"))
    assert result.state is TaskState.REMOTE_TROUBLE
    assert "A01.tif.mdoc changed while it was sent" in result.message
    assert landing.files == {}


def test_two_of_one_name_are_named_once(source: Path) -> None:
    sidecar = sending_sidecars.Sidecar(source_url="root://a/x/p.xml", url="u", sha256="0" * 64, size_bytes=1)
    other = sidecar.model_copy(update={"source_url": "root://a/y/p.xml", "sha256": "1" * 64})
    assert sending_sidecars.notes_of([sidecar, other]) == [{"name": "p.xml", "sha256": "0" * 64}]


@pytest.mark.parametrize(
    ("source_id", "name", "stored"),
    [
        ("day2/A01.tif", "A01.tif.mdoc", "day2/A01.tif.mdoc"),
        ("day2/A01.tif", "A01.xml", "day2/A01.xml"),
        ("day2/X_fractions.tif", "X.xml", "day2/X.xml"),
        ("day2/A01.tif", "plate.HTD", "day2/plate.HTD"),
        ("A01.tif", "A 01#é.xml", "A 01#é.xml"),
    ],
)
def test_what_was_uploaded_goes_to_its_tier_with_its_sidecars(
    run_task: RunTask, landing: Landing, source: Path, tmp_path: Path, source_id: str, name: str, stored: str
) -> None:
    """As the lab's server has it: object and sidecar in the landing area, named by its URLs."""
    source.with_name(name).write_bytes(b"sidecar")
    sent = run_task("upload", source, settings=of(landing), sidecars=beside(source, name)).place
    assert sent is not None
    assert sent.sidecars is not None
    (tmp_path / "A").mkdir()
    decision = DecisionNote(decision_id=1, score=0.8, tier="A", reason="sharp", enforce=True)
    result = run_task(
        "tier",
        sent.url,
        settings={"tiers": {"A": {"root": tmp_path / "A"}}, "roots": {"landing": landing.folder}},
        decision=decision,
        source_id=source_id,
        sidecars=[sent.sidecars[0].url],
    )
    assert result.state is TaskState.DONE, result.message
    found = {
        path.relative_to(tmp_path / "A/plate7").as_posix() for path in (tmp_path / "A/plate7").rglob("*.*")
    }
    assert found == {source_id, stored}
    assert (tmp_path / "A/plate7" / stored).read_bytes() == b"sidecar"


def test_a_job_that_was_sent_to_its_own_server_takes_its_sidecars_to_its_tier(
    run_task: RunTask, landing: Landing, source: Path, tmp_path: Path
) -> None:
    sidecars = beside(source, "A01.tif.mdoc")
    sent = run_task("upload", source, settings=of(landing), sidecars=sidecars).place
    source.with_name("A01.tif.mdoc").unlink()  # at another site, where the tier's worker does not see it
    (tmp_path / "A").mkdir()
    decision = DecisionNote(decision_id=1, score=0.8, tier="A", reason="sharp", enforce=True)
    settings = {"tiers": {"A": {"root": tmp_path / "A"}}, "roots": {"landing": landing.folder}}
    result = run_task(
        "tier",
        source,
        settings=settings,
        decision=decision,
        place=sent,
        source_id="A01.tif",
        sidecars=sidecars,
    )
    assert result.state is TaskState.DONE, result.message
    assert "sidecars_missing" not in result.response
    assert (tmp_path / "A/plate7/A01.tif.mdoc").read_bytes() == b"content of A01.tif.mdoc"
