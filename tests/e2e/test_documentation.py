"""README and docs, done as they stand there."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile

from haste_server.catalogue import load_pipelines
from tests.e2e.documentation import PROGRAMS, REPOSITORY, Reader, blocks_of, reader
from tests.e2e.plates import write_image
from tests.e2e.server_process import PROC
from tests.services.process import free_port
from tests.unit.apps.image_folders import write_field

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the commands are for a POSIX shell")

PAGES_OF_COMMANDS = {
    "README.md",
    "docs/tutorial-first-folder.md",
    "docs/calibration.md",
    "docs/commands.md",
    "docs/decisions-and-policies.md",
    "docs/distributed.md",
    "docs/doctor.md",
    "docs/configuration.md",
    "docs/handlers.md",
    "docs/names.md",
    "docs/report.md",
    "docs/rest.md",
    "docs/tokens.md",
    "docs/tutorial-case-study.md",  # test_case_study.py follows it
}


def make_plates(folder: Path, *names: str) -> None:
    generator = np.random.default_rng(7)
    for name in names:
        (folder / name).mkdir(parents=True)
        for image in ("A01_s1.tif", "A01_s2_DAPI.tif"):
            smooth = generator.normal(1000, 300, (16, 16)).repeat(8, axis=0).repeat(8, axis=1)
            pixels = smooth + generator.normal(0, 20, smooth.shape)
            tifffile.imwrite(folder / name / image, pixels.clip(0, 65535).astype("u2"))


def one_pc(port: int) -> dict[str, str]:
    """Let commands that name no port use one that is free here."""
    return {"HASTE_PORT": str(port), "HASTE_SERVER_URL": f"http://127.0.0.1:{port}"}


def test_every_page_with_commands_is_followed() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    names = {page.relative_to(REPOSITORY).as_posix() for page in pages}
    # A drawing; settings and pipelines, which unit tests try; programs, which test_uploads.py runs.
    no_commands = {
        "docs/agent.md",  # of Windows; test_agent.py does it
        "docs/alerts.md",
        "docs/architecture.md",
        "docs/client.md",  # of a notebook; test_embedded.py does it
        "docs/edge-scheduling.md",
        "docs/features.md",
        "docs/image-sets.md",
        "docs/images.md",
        "docs/interestingness.md",
        "docs/metrics.md",  # of Prometheus; tests/integration/api/test_metrics.py reads it
        "docs/policies.md",
        "docs/preprocessing.md",
        "docs/tiers.md",
        "docs/uploads.md",
    }
    assert {name for name in names if blocks_of(name)} - no_commands == PAGES_OF_COMMANDS


@contextmanager
def after_readme(tmp_path: Path) -> Iterator[Reader]:
    """Do what the README says, and return its reader, whose server runs on."""
    folder, port = tmp_path / "pc", free_port()
    meant = {"/data/": f"{folder}/data/", "127.0.0.1:5510": f"127.0.0.1:{port}"}
    data_dir = str(folder / "server")
    told = {**one_pc(port), "HASTE_DATA_DIR": data_dir, "HASTE_TOKEN": "a token of some length"}
    with reader(folder, stands_for=meant, **told) as readme:
        make_plates(folder / "data/plates", "plate7", "plate8")
        readme.follow("README.md")
        yield readme


def test_the_readme_works_as_it_stands_there(tmp_path: Path) -> None:
    with after_readme(tmp_path) as readme:
        spots = [json.loads(line)["response"]["count-spots"] for line in readme.said[-1].splitlines()]
        assert [sorted(answer) for answer in spots] == [["spots"], ["spots"]]
        scored = [line for said in readme.said for line in said.splitlines() if line.startswith("A01_s")]
        assert len(scored) == 2
        assert len(list(tmp_path.glob("pc/server/tiers/*/**/*.tif"))) == 2
        assert "data:image/jpeg" in (tmp_path / "pc/plate7.html").read_text()


@pytest.mark.slow
def test_what_comes_after_the_readme_works_as_it_stands_there(tmp_path: Path) -> None:
    folder = tmp_path / "pc"
    with after_readme(tmp_path) as page:
        (folder / "plate7.html").unlink()
        page.follow("docs/doctor.md")
        assert json.loads(page.said[-1])["well"]
        page.follow("docs/commands.md")
        assert "_HASTE_COMPLETE" in (folder / "haste-completion.bash").read_text()
        page.follow("docs/report.md")
        assert len((folder / "plate7-images.csv").read_text().splitlines()) == 1 + 2
        page.follow("docs/tokens.md")
        assert "lab1-pc" in page.said[-3]
        page.follow("docs/decisions-and-policies.md")
        assert any("belongs in" in said for said in page.said)
        if shutil.which("curl"):
            said_before = len(page.said)
            page.follow("docs/rest.md")
            job, *asked = [json.loads(said) for said in page.said[said_before:]]
            assert job["source_id"] == "A01_s1.tif"
            assert all("changed" in answer for answer in asked)


@pytest.mark.slow
def test_the_tutorial_works_as_it_stands_there(tmp_path: Path) -> None:
    folder = tmp_path / "pc"
    with reader(folder, stands_for={"/data/": f"{folder}/data/"}, **one_pc(free_port())) as tutorial:
        make_plates(folder / "data/plates", "plate7", "plate8", "plate9", "plate10")
        tutorial.follow("docs/tutorial-first-folder.md")
        tutorial.do("haste jobs --json")
    jobs = [json.loads(line) for line in tutorial.said[-1].splitlines()]
    streams = ["plate10", "plate10", "plate7", "plate7", "plate7-dapi"]
    streams += ["plate7-tiers", "plate7-tiers", "plate8", "plate8", "plate9", "plate9"]
    assert sorted(job["stream_id"] for job in jobs) == streams


@pytest.mark.slow
def test_calibration_works_as_it_stands_there(tmp_path: Path) -> None:
    folder = tmp_path / "pc"
    data_dir = str(folder / "server")
    with reader(folder, stands_for={"/data/": f"{folder}/data/"}, HASTE_DATA_DIR=data_dir) as page:
        for number in range(1, 9):
            write_field(folder / f"data/plates/plate7/A01_s{number}.tif", seed=number, blur_px=number / 3)
            write_field(folder / f"data/sorted/sharp/{number}.tif", seed=number, blur_px=1)
            write_field(folder / f"data/sorted/blurred/{number}.tif", seed=number, blur_px=2)
        (table,) = (block.text for block in blocks_of("docs/calibration.md") if block.language == "csv")
        (folder / "data/labels.csv").write_text(table)
        (folder / "data/pipelines").mkdir()
        page.follow("docs/calibration.md")
        scored, one, *_, evaluated = page.said
        assert len(scored.splitlines()) == 8
        assert json.loads(one)["saturated_fraction"] == 0
        assert "plls of 4 good and 3 bad images" in evaluated
        own = load_pipelines(folder / "data/pipelines")
        assert {"calibrated-plate7", "dapi-focus"} <= set(own)


@pytest.mark.slow
def test_names_are_read_as_it_stands_there(tmp_path: Path) -> None:
    folder, port = tmp_path / "pc", free_port()
    data_dir = str(folder / "server")
    with reader(
        folder, stands_for={"/data/": f"{folder}/data/"}, **one_pc(port), HASTE_DATA_DIR=data_dir
    ) as page:
        for name in ("p_A01_s1_w1", "p_A01_s2_w1", "p_A01_s1_w1_thumb"):
            for plate in ("plate7", "plate8"):
                write_image(folder / f"data/plates/{plate}/TimePoint_1/{name}.tif")
        for name in ("B7-field3-DAPI", "P24-field1-GFP"):
            write_image(folder / f"data/plates/ours/{name}.tif")
        page.follow("docs/names.md")
        page.do("haste jobs --json")
    jobs = [json.loads(line) for line in page.said[-1].splitlines()]
    assert sorted((job["stream_id"], job["metadata"]["site"]) for job in jobs) == [
        ("plate7", 1),
        ("plate7", 2),
        ("plate8", 1),
        ("plate8", 2),
    ]
    for own in page.said[-3:-1]:
        assert "B07" in own
        assert "GFP" in own


@pytest.mark.slow
def test_many_machines_work_as_they_stand_there(tmp_path: Path, mariadb_url: str, amqp_url: str) -> None:
    folder, port = tmp_path / "site", free_port()
    meant = {
        "mysql+pymysql://haste:DATABASE_PASSWORD@localhost/haste": mariadb_url,
        "amqp://haste:BROKER_PASSWORD@localhost:5672/haste": amqp_url,
        "amqp://haste:BROKER_PASSWORD@haste.example.org:5672/haste": amqp_url,
        "http://haste.example.org:5510": f"http://127.0.0.1:{port}",
        "HASTE_TOKEN=…": f'HASTE_TOKEN="$(cat {folder}/etc/haste/token)"',
        "/home/me/nas": f"{folder}/mnt/nas",
        "~/": f"{folder}/home/",
        "/opt/haste/bin": str(PROGRAMS),
        "/mnt/": f"{folder}/mnt/",
        "/etc/": f"{folder}/etc/",
        "/var/lib/": f"{folder}/var/lib/",
    }
    with reader(folder, stands_for=meant, HASTE_PORT=str(port)) as site:
        make_plates(folder / "mnt/nas", "plate7")
        site.follow("docs/distributed.md")
        site.follow("docs/configuration.md")
        site.follow("docs/handlers.md")
