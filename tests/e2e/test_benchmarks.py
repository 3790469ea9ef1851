"""The benchmarks with loads too small to measure anything: they run, and say what they should."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import (
    backlog,
    dramatiq_peer,
    edge,
    edge_courses,
    edge_decisions,
    edge_live,
    focus_pipeline,
    latency,
    operators,
    page,
    plls,
    retier,
    system,
    throughput,
)
from tests.e2e.server_process import PROC
from tests.services.mariadb import MariaDB
from tests.services.rabbitmq import RabbitMQ

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc to see all processes")

REPOSITORY = Path(__file__).resolve().parents[2]
VERDICT = {"lost", "stuck", "double", "wrong", "left", "leaked", "refused"}

Run = Callable[[ModuleType], dict[str, float]]


def figures_of(benchmark: str, said: str) -> dict[str, float]:
    """Read what a benchmark has said on standard output."""
    result = json.loads(said.splitlines()[-1])
    assert set(result) == {"benchmark", "figures"}
    assert result["benchmark"] == benchmark
    figures: dict[str, float] = result["figures"]
    assert all(math.isfinite(figure) for figure in figures.values()), figures
    return figures


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rabbitmq_server: RabbitMQ,
    mariadb_server: MariaDB,
) -> Run:
    """Run a benchmark as its user does, but on the services of the test run: starting them takes longer."""
    monkeypatch.setattr(system, "MariaDB", lambda folder: nullcontext(mariadb_server))
    for module in (system, dramatiq_peer):
        monkeypatch.setattr(module, "RabbitMQ", lambda folder: nullcontext(rabbitmq_server))

    def run(benchmark: ModuleType) -> dict[str, float]:
        monkeypatch.setattr(sys, "argv", [benchmark.__name__, "--quick"])
        benchmark.main()
        figures = figures_of(benchmark.__name__.rpartition(".")[2], capsys.readouterr().out)
        assert min(figures.values()) > 0, figures
        return figures

    return run


def test_throughput_of_both_shapes_the_peer_and_submissions(run: Run) -> None:
    figures = run(throughput)
    of_tasks = {"embedded_tasks_per_s", "rabbit_tasks_per_s", "dramatiq_tasks_per_s"}
    of_submissions = {"floor_post_per_s", "post_per_s", "bulk_specs_per_s"}
    assert set(figures) == of_tasks | of_submissions
    assert all(5 < rate < 100_000 for rate in figures.values()), figures


def test_latency(run: Run) -> None:
    figures = run(latency)
    assert set(figures) == {"p50_ms", "p99_ms"}
    assert 0.5 < figures["p50_ms"] <= figures["p99_ms"] < 30_000


@pytest.mark.slow  # most of it is starting servers
def test_backlog(run: Run) -> None:
    figures = run(backlog)
    assert set(figures) == {"handout_ratio", "server_rss_mb", "patch_10k_s"}
    assert 0.02 < figures["handout_ratio"] < 50
    assert 20 < figures["server_rss_mb"] < 2_000


@pytest.mark.slow  # most of it is starting servers
def test_focus_pipeline(run: Run) -> None:
    figures = run(focus_pipeline)
    seconds = {"floor_s", "embedded_s", "rabbitmq_s"}
    assert set(figures) == {"ratio_to_floor", "ratio_to_floor_rabbitmq"} | seconds
    assert all(0.001 < figures[name] < 30 for name in seconds), figures


def test_retier(run: Run) -> None:
    figures = run(retier)
    tried = {"audit", "feature", "expression", "precomputed", "quantile"}
    seconds = {"preview_100k_s", "retier_s", "copy_loop_s"} | {f"preview_{name}_100k_s" for name in tried}
    assert set(figures) == {"moved_fraction", "ratio_to_copy_loop", "page_100k_ms"} | seconds
    assert figures["moved_fraction"] == 0.1
    assert all(0.0005 < figures[name] < 60 for name in seconds), figures


def test_plls(run: Run) -> None:
    figures = run(plls)
    assert set(figures) == {"plls_ms", "rfft2_ms", "ratio", "max_abs_error"}
    assert figures["max_abs_error"] <= 1e-6


def test_operators(run: Run) -> None:
    figures = run(operators)
    of_codecs = {f"{codec}_{what}" for codec in ("png", "jxl") for what in ("ms", "task_ms", "ratio")}
    of_codecs |= {f"small_{name}" for name in of_codecs}
    of_images = of_codecs | {"source_kb", "floodfill_saves"}
    of_kinds = {f"{kind}{name}" for kind in ("", "soft_", "quiet_") for name in of_images}
    assert set(figures) == of_kinds | {"floodfill_ms", "floodfill_speedup"}
    assert all(0.4 < figure < 1.3 for name, figure in figures.items() if name.endswith("ratio")), figures
    assert all(figures[f"{name}task_ms"] > 0 for name in ("png_", "soft_jxl_"))


def test_edge(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    rows = [f"{i / 20},470000,{60_000 if 100 < i < 160 else 5_000},0.4" for i in range(300)]
    trace.write_text("\n".join(["arrival_s,raw_bytes,bytes_saved,preprocess_s", *rows]))
    options = ["--quick", "--trace", str(trace), "--reverse", "--roll", "40"]
    monkeypatch.setattr(sys, "argv", ["edge", *options])
    edge.main()
    said = json.loads(capsys.readouterr().out)["figures"]
    assert set(said) == {"share", "share_paper", "share_oracle", "decision", "link_depth", "seeds"}
    for name in ("share", "share_paper", "share_oracle"):
        assert set(said[name]) == {"1.9/1", "6/1"}
        assert all(0 < share < 1 for share in said[name].values()), said
    assert said["decision"]["waiting"] == 5_000
    assert all(0 < said["decision"][name] < 1_000 for name in ("preprocess_ms", "upload_ms", "learn_ms"))


def test_edge_courses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["edge_courses", "--quick"])
    edge_courses.main()
    said = json.loads(capsys.readouterr().out)["figures"]
    assert set(said) == {"mean_points_over_order", "least_points_over_order"}
    assert all(set(points) == {"smooth_20", "few_40"} for points in said.values())
    assert said["mean_points_over_order"]["smooth_20"] > 0.5


def test_edge_decisions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["edge_decisions", "--quick"])
    edge_decisions.main()
    figures = figures_of("edge_decisions", capsys.readouterr().out)
    assert figures["waiting"] == 500
    assert figures["sent"] == 50
    assert all(figures[f"{key}_ms"] > 0 for key in ("preprocess", "upload"))


@pytest.mark.slow  # two agents, each with servers at both ends
def test_edge_live(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["edge_live", "--quick"])
    edge_live.main()
    figures = figures_of("edge_live", capsys.readouterr().out)
    assert figures["none_s"] > figures["bound_s"] > 0
    assert 0.09 < figures["saved_by_floodfill"] < 0.16
    for name in ("", "_lossless"):
        assert figures[f"took{name}_s"] > figures["bound_s"] / 2
        assert 0 < figures[f"busy{name}"] <= 1.05
        assert 0 < figures[f"preprocessed{name}"] <= edge_live.QUICK_COUNT


@pytest.mark.slow  # a server and a browser
def test_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["page", "--quick"])
    page.main()
    figures = figures_of("page", capsys.readouterr().out)
    of_answers = {"latency_ratio_50_pages", "latency_ms", "latency_50_pages_ms"}
    assert set(figures) == {"first_paint_ms", "drag_ms", "idle_cpu"} | of_answers
    assert all(0.1 < figures[name] < 30_000 for name in figures if name.endswith("_ms")), figures
    assert 0.01 < figures["latency_ratio_50_pages"] < 100
    assert 0 <= figures["idle_cpu"] < 4


@pytest.mark.slow  # tests/chaos does the same
def test_nothing_is_lost_stuck_or_double_after_each_was_killed() -> None:
    """In the embedded shape; the storm over RabbitMQ and MariaDB, and the times of recovery: tests/chaos."""
    command = [sys.executable, "-m", "benchmarks.chaos", "--quick", "--seed", "7"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    figures = figures_of("chaos", done.stdout)
    about = {"kills", "jobs", "runs", "runs_of_one_attempt", "copied_results", "storm_s", "settled_after_s"}
    assert set(figures) == VERDICT | about
    assert {name: figures[name] for name in VERDICT} == dict.fromkeys(VERDICT, 0), done.stderr
    assert figures["kills"] == 4
    assert figures["runs"] > figures["jobs"] > figures["kills"]
