"""`haste demo` as its user runs it: everything ends well, nothing is touched, nothing is left running."""

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from haste_apps.demo.workspace import prepare_work_dir
from haste_apps.simulate import cell_field, simulate
from tests.waiting import wait_for

PROC = Path("/proc")


def start_demo(*arguments: str, work_dir: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "haste_apps.cli", "demo", "--work-dir", str(work_dir), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )


def run_demo(*arguments: str, work_dir: Path, **environ: str) -> tuple[int, str, str]:
    demo = start_demo(*arguments, work_dir=work_dir, **environ)
    out, err = demo.communicate(timeout=200)
    return demo.returncode, out, err


def outcome(stdout: str) -> dict[str, Any]:
    return dict(json.loads(stdout.splitlines()[-1]))


def processes_about(work_dir: Path) -> list[int]:
    """Find the processes that were told of a folder, on the command line or by the environment."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environ = (folder / "environ").read_bytes()
        except OSError:
            continue  # ended, or not ours
        if os.fsencode(work_dir) in command + environ and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


@pytest.fixture
def work_dir(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for a demo that must leave no process behind."""
    folder = tmp_path / "demo"
    yield folder
    if PROC.is_dir():
        assert processes_about(folder) == []


def fingerprint(folder: Path) -> Mapping[str, tuple[str, int]]:
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_simulated_image_reaches_its_right_end(work_dir: Path) -> None:
    code, out, err = run_demo("--count", "18", "--rate", "10", "--json", work_dir=work_dir)
    assert code == 0, err
    summary = outcome(out)
    assert (summary["jobs"], summary["done"], summary["failed"]) == (18, 18, 0)
    assert sum(summary["tiers"].values()) == 18
    with (work_dir / "microscope/truth.csv").open(newline="") as file:
        empty = {row["file"] for row in csv.DictReader(file) if row["empty"] == "1"}
    assert {image["source_id"] for image in summary["images"] if image["tier"] == "empty"} == empty
    assert summary["tiers"]["empty"] == len(empty) == 3
    stored = [path for path in (work_dir / "server/tiers").rglob("*.tif") if path.is_file()]
    assert len(stored) == 18
    assert "mean true defocus" in err
    assert "data:image/jpeg" in (work_dir / "report.html").read_text(encoding="utf-8")


def test_own_images_are_scored_and_left_as_they_are(work_dir: Path, tmp_path: Path) -> None:
    images = tmp_path / "plate"
    simulate(images, kind="cells", count=6, rate_hz=float("inf"), seed=3, size_px=(256, 256))
    dusty = cell_field(np.random.default_rng(3), (256, 256), defocus_um=7.0)
    dusty[100:106, 100:106] = 20_000
    tifffile.imwrite(images / "dusty.tif", dusty)
    before = fingerprint(images)
    labs = lab_of(images)
    code, out, err = run_demo("--images", str(images), "--json", work_dir=work_dir, **labs)
    assert code == 0, err
    assert fingerprint(images) == before
    summary = outcome(out)
    assert (summary["jobs"], summary["done"]) == (7, 7)
    assert {image["source_id"] for image in summary["images"]} == {
        name for name in before if name.endswith(".tif")
    }
    assert [image["source_id"] for image in summary["images"] if image["tier"] == "empty"] == ["dusty.tif"]
    assert "hot pixels or specks make it look sharp" in (work_dir / "report.html").read_text(encoding="utf-8")
    assert not (work_dir / "server/tiers").exists() or not any((work_dir / "server/tiers").rglob("*.tif"))


def lab_of(images: Path) -> dict[str, str]:
    """Return settings of a lab's own server, which are not the demo's business."""
    return {
        "HASTE_DATABASE_URL": "mysql+pymysql://nobody@127.0.0.1:9/haste",
        "HASTE_BROKER_URL": "amqp://127.0.0.1:9",
        "HASTE_SERVER_URL": "http://127.0.0.1:9",
        "HASTE_ROOTS": json.dumps({"lab": str(images)}),
    }


@pytest.mark.slow
def test_a_demo_of_the_same_images_tells_the_same_again(work_dir: Path, tmp_path: Path) -> None:
    images = tmp_path / "plate"
    simulate(images, kind="cells", count=6, rate_hz=float("inf"), seed=3, size_px=(256, 256))
    runs = [run_demo("--images", str(images), "--json", work_dir=work_dir) for _ in range(2)]
    assert [code for code, _, _ in runs] == [0, 0]
    first, again = (outcome(out) for _, out, _ in runs)
    assert again == first


@pytest.mark.slow
def test_damaged_and_odd_files_fail_alone_and_equal_names_stay_apart(work_dir: Path, tmp_path: Path) -> None:
    images = tmp_path / "plate"
    for seed, folder in enumerate(["week1", "week2", "week3.tif"]):
        simulate(images / folder, kind="cells", count=1, rate_hz=float("inf"), seed=seed, size_px=(128, 128))
    (images / "cut.tif").write_bytes(next(images.rglob("*/*.tif")).read_bytes()[:5000])
    (images / "empty.tif").touch()
    (images / "text.png").write_text("not an image")
    (images / "lost.tif").symlink_to(tmp_path / "plate" / "unmounted.tif")
    code, out, err = run_demo("--images", str(images), "--json", work_dir=work_dir)
    assert code == 1
    summary = outcome(out)
    assert (summary["jobs"], summary["done"], summary["failed"]) == (7, 3, 4)
    plls = {image["source_id"]: image["plls"] for image in summary["images"] if image["state"] == "done"}
    assert set(plls) == {f"{week}/A01/site1.tif" for week in ("week1", "week2", "week3.tif")}
    assert len(set(plls.values())) == 3
    assert "cut.tif: focus-score: not a readable image" in err
    assert "empty.tif: focus-score: not a readable image: the file is empty" in err
    assert "text.png: focus-score: not a readable image: the file is neither TIFF" in err
    assert "lost.tif: this link leads to nothing" in err
    assert "6 images: 3 done, 3 failed; 1 left out" in err


@pytest.mark.parametrize(
    ("folder", "pattern", "said"),
    [
        ("plate", "*_DAPI.tif", "holds no file whose name is like *_DAPI.tif"),
        ("plate/notes", None, "holds no TIFF, PNG or JPEG image"),
        ("plate/a.tif", None, "is no folder; name the one that it is in"),
        ("nowhere", None, "there is no folder"),
    ],
)
def test_a_folder_without_images_is_wrong_usage(
    work_dir: Path, tmp_path: Path, folder: str, pattern: str | None, said: str
) -> None:
    (tmp_path / "plate/notes").mkdir(parents=True)
    (tmp_path / "plate/a.tif").touch()
    earlier = prepare_work_dir(work_dir) / "report.html"
    earlier.write_text("of the demo before")
    options = [] if pattern is None else ["--pattern", pattern]
    code, out, err = run_demo("--images", str(tmp_path / folder), *options, "--json", work_dir=work_dir)
    assert (code, out) == (2, "")
    assert said in err
    assert earlier.exists()


def start_endless_demo(work_dir: Path) -> subprocess.Popen[str]:
    """Start a demo, and wait until all its processes are at work."""
    demo = start_demo("--count", "5000", "--rate", "20", work_dir=work_dir)
    deadline = time.monotonic() + 60
    while not list(work_dir.glob("server/landing/demo/**/*.tif")):
        assert demo.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return demo


@pytest.mark.skipif(not PROC.is_dir(), reason="needs POSIX signals and /proc")
def test_a_killed_demo_leaves_nothing_running(work_dir: Path) -> None:
    demo = start_endless_demo(work_dir)
    assert len(processes_about(work_dir)) >= 4  # demo, microscope, server, its worker
    demo.kill()
    demo.communicate(timeout=10)
    deadline = time.monotonic() + 30
    while processes_about(work_dir):
        assert time.monotonic() < deadline, processes_about(work_dir)
        time.sleep(0.2)


def interrupt_a_demo(folder: Path, number: signal.Signals, *, after_s: float) -> tuple[int, str]:
    demo = start_demo("--count", "5000", "--rate", "20", work_dir=folder)
    try:
        wait_for(folder.exists)
        time.sleep(after_s)
        demo.send_signal(number)
        _, err = demo.communicate(timeout=60)
        return demo.returncode, err
    finally:
        demo.kill()


@pytest.mark.slow
@pytest.mark.skipif(not PROC.is_dir(), reason="needs POSIX signals and /proc")
def test_demos_that_are_interrupted_at_any_moment_leave_nothing_running(work_dir: Path) -> None:
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    moments_s = [random.uniform(0, 6) for _ in signals]
    work_dir.mkdir()
    folders = [work_dir / number.name for number in signals]
    with ThreadPoolExecutor() as at_once:
        runs = [
            at_once.submit(interrupt_a_demo, folder, number, after_s=after_s)
            for folder, number, after_s in zip(folders, signals, moments_s, strict=True)
        ]
    for run, after_s in zip(runs, moments_s, strict=True):
        code, err = run.result()
        assert (code, err.splitlines()[-1]) == (130, "haste: interrupted"), f"after {after_s} s"
        assert "Traceback" not in err, f"after {after_s} s"


@pytest.mark.slow  # quick: the same over a broker, in test_distributed.py
def test_real_images_score_as_their_reference(work_dir: Path, shared_dir: Path) -> None:
    images = shared_dir / "data/images"
    with (images / "index.csv").open(newline="") as file:
        reference = {row["file"]: float(row["plls_reference_f64"]) for row in csv.DictReader(file)}
    before = fingerprint(images)
    code, out, err = run_demo("--images", str(images), "--json", work_dir=work_dir)
    assert code == 0, err
    assert fingerprint(images) == before
    summary = outcome(out)
    assert (summary["jobs"], summary["done"], summary["failed"]) == (62, 62, 0)
    assert {image["source_id"]: image["plls"] for image in summary["images"]} == pytest.approx(
        reference, abs=1e-5
    )
    assert "different kinds" in err
