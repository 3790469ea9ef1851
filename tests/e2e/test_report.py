"""`haste report` and the client's tables, of a stream that a real server has decided about."""

import csv
import json
from importlib.metadata import version
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow.parquet
import pytest

from haste_apps.interruption import Interruption
from haste_apps.reporting.reporting import write_report
from haste_client import HasteClient, InvalidError, NotFoundError
from tests.e2e.haste_command import haste
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC, ServerProcess

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")


@pytest.fixture(scope="module")
def decided(server: ServerProcess, root: Path) -> Path:
    """Return the folder of a stream of six images, one of them pinned since, and one that is no image."""
    folder = root / "plate7"
    for number in range(6):
        write_image(folder / f"p_A0{number + 1}_s1_w1.tif", seed=number)
    (folder / "p_B01_s1_w1.tif").write_text("no image")
    with HasteClient(server.url, roots={"nas": root}) as client:
        client.submit_directory(folder, names="imagexpress").wait()
    jobs = {job["source_id"]: job["job_id"] for job in jobs_of(server)}
    pinned = server.call(
        "POST",
        f"/HASTE/job/{jobs['p_A01_s1_w1.tif']}/pin",
        json={"tier": "tierD", "reason": "a control", "by": "eva"},
    )
    assert pinned.status_code == 200, pinned.text
    return folder


def jobs_of(server: ServerProcess) -> list[dict[str, object]]:
    return list(server.call("GET", "/HASTE/jobs/?stream_id=plate7").json()["jobs"])


def report(server: ServerProcess, folder: Path, *arguments: str) -> CompletedProcess[str]:
    return haste("report", "plate7", *arguments, url=server.url, roots={"nas": folder.parent})


def write(client: HasteClient, path: Path, format_: str, *, stream_id: str = "plate7") -> Path:
    """Do what the command does, without a program of its own."""
    write_report(client, stream_id, format_, path, interruption=Interruption())
    return path


def test_the_page_shows_pictures_wells_failures_and_what_changed(
    server: ServerProcess, decided: Path, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    run = report(server, decided, "--output", str(path), "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"stream_id": "plate7", "file": str(path), "images": 6}
    page = path.read_text()
    assert page.count("data:image/jpeg") == 6
    assert "A06: mean score" in page
    assert "not a readable image" in page
    assert "pin (eva)" in page
    assert "pinned to tierD: a control" in page
    again = report(server, decided, "--output", str(path))
    assert (again.returncode, path.read_text()) == (2, page)
    assert "--force" in again.stderr


def test_where_images_cannot_be_reached_the_page_says_so(
    server: ServerProcess, decided: Path, tmp_path: Path
) -> None:
    with HasteClient(server.url, roots={"other": tmp_path}) as elsewhere:
        page = write(elsewhere, tmp_path / "page.html", "html").read_text()
    assert "6 images could not be read on this machine" in page


def test_tables_tell_what_the_client_does(client: HasteClient, decided: Path, tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(write(client, tmp_path / "table.parquet", "parquet"))
    frame = client.stream("plate7").to_pandas(order="job")
    assert table["source_id"].to_pylist() == frame["source_id"].tolist()
    assert table["features.plls"].to_pylist() == frame["features.plls"].tolist()
    assert table["metadata.well"].to_pylist() == [f"A0{number + 1}" for number in range(6)]
    assert set(table["decision.software_version"].to_pylist()) == {version("haste-server")}
    assert table["decision.made_by"].to_pylist() == ["eva", None, None, None, None, None]
    with write(client, tmp_path / "table.csv", "csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == frame["score"].tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv", "table.parquet"]


def test_images_are_chosen_and_ordered_by_the_server(client: HasteClient, decided: Path) -> None:
    images = list(client.images("plate7", order="job"))
    scores = [image.score for image in images if image.score is not None]
    assert len(scores) == 6
    by_score = [image.score for image in client.images("plate7", order="score")]
    assert by_score == sorted(scores)
    middle = sorted(scores)[2]
    assert [one.score for one in client.images("plate7", min=middle)] == sorted(scores, reverse=True)[:4]
    assert [one.score for one in client.images("plate7", max=middle, order="score")] == sorted(scores)[:3]
    pinned = [image.source_id for image in client.images("plate7", tier="tierD") if image.pinned]
    assert pinned == ["p_A01_s1_w1.tif"]
    decisions = list(client.decisions("plate7"))
    assert [one.origin for one in decisions] == ["policy"] * 6 + ["pin"]
    with pytest.raises(NotFoundError):
        next(client.images("none"))
    with pytest.raises(InvalidError):
        next(client.images("plate7", min=2))


def test_a_stream_that_is_not_there_leaves_no_file(client: HasteClient, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="'none'"):
        write(client, tmp_path / "none.csv", "csv", stream_id="none")
    assert not list(tmp_path.iterdir())
