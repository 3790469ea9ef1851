"""What docs/handlers.md, docs/features.md and docs/images.md tell users works as they say."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from haste_core.errors import BadInputError
from haste_core.features.quality import QUALITY_FEATURES
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_workers import Answer, TaskContext
from haste_workers.handlers.command import CommandParameters
from haste_workers.handlers.registry import choose_handlers
from haste_workers.settings import WorkerSettings, load_settings
from tests.unit.workers.bench import RunTask, cells
from tests.unit.workers.messages import task_message
from tests.unit.workers.web_server import WebServer

DOCS = Path(__file__).resolve().parents[3] / "docs"


def example(name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(name, DOCS / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function


def context_of(source: Path, tmp_path: Path, **parameters: Any) -> TaskContext:
    return TaskContext(
        task_message(url=source.as_uri(), parameters=parameters),
        settings=WorkerSettings(work_dir=tmp_path / "work", roots={"data": source.parent}),
        scratch=tmp_path / "scratch",
        on_progress=lambda *_: None,
    )


def test_count_nuclei(tmp_path: Path) -> None:
    image = np.zeros((100, 100), np.uint16)
    image[10:20, 10:20] = image[50:70, 50:70] = 1000
    image[90, 90] = 1000  # a hot pixel
    tifffile.imwrite(tmp_path / "a.tif", image)
    context = context_of(tmp_path / "a.tif", tmp_path, threshold=500)
    answer = example("count_nuclei")(context.message.job, context.message, context)
    assert answer == {"nuclei": 2, "mean_area_px": 250}


def test_write_mask(tmp_path: Path) -> None:
    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    tifffile.imwrite(tmp_path / "a.tif", image)
    context = context_of(tmp_path / "a.tif", tmp_path)
    answer = example("write_mask")(context.message.job, context.message, context)
    assert isinstance(answer, Answer)
    assert np.array_equal(tifffile.imread(context.output_dir / "mask.tif"), image > image.mean())
    tifffile.imwrite(tmp_path / "b.tif", np.full((64, 64), 7, np.uint16))
    uniform = context_of(tmp_path / "b.tif", tmp_path)
    with pytest.raises(BadInputError):
        example("write_mask")(uniform.message.job, uniform.message, uniform)


def test_python_of_the_guide_works(tmp_path: Path) -> None:
    files = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", (DOCS / "handlers.md").read_text(), re.DOTALL)
    assert [name for name, _ in files] == ["count_nuclei", "masks"]
    defined: dict[str, Any] = {}
    for _, code in files:
        exec(code, defined)
    image = np.zeros((64, 64), np.uint16)
    image[10:20, 10:20] = image[40:50, 40:50] = 1000
    tifffile.imwrite(tmp_path / "a.tif", image)
    context = context_of(tmp_path / "a.tif", tmp_path)
    assert defined["count_nuclei"](context.message.job, context.message, context) == {"nuclei": 2}
    answer = defined["write_mask"](context.message.job, context.message, context)
    assert isinstance(answer, Answer)
    assert np.array_equal(tifffile.imread(context.output_dir / "mask.tif"), image > 0)


def test_yaml_of_the_guide_is_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / "handlers.md").read_text(), re.DOTALL)
    settings, pipelines = [b for b in blocks if "worker.yaml" in b], [b for b in blocks if "name:" in b]
    assert (len(settings), len(pipelines)) == (1, 1)
    (tmp_path / "worker.yaml").write_text(settings[0])
    programs = load_settings(tmp_path / "worker.yaml").programs
    named = re.findall(r"\(\.\./(config/examples/\S+\.yaml)\)", (DOCS / "handlers.md").read_text())
    assert len(named) == 2
    for block in [*pipelines, *((DOCS.parent / name).read_text() for name in named)]:
        pipeline = Pipeline.parse(yaml.safe_load(block))
        if "command" in pipeline.parameters:
            parameters = CommandParameters.model_validate(pipeline.parameters["command"])
            assert parameters.argv[0] in programs


def test_entry_points_of_installed_packages_are_handlers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "my_lab-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: my-lab\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[haste.handlers]\ncount-nuclei = my_lab.count:count_nuclei\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert choose_handlers(WorkerSettings())["count-nuclei"] == "my_lab.count:count_nuclei"
    own = WorkerSettings(handlers={"count-nuclei": "mine:f"})
    assert choose_handlers(own)["count-nuclei"] == "mine:f"


def test_features_are_asked_for_as_their_page_shows(run_task: RunTask, cells_tiff: Path) -> None:
    page = (DOCS / "features.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    asked = yaml.safe_load(block)["parameters"]["focus-score"]
    response = run_task("focus-score", cells_tiff, parameters=asked).response
    assert set(asked["features"]) - {"intensity"} <= set(response)
    assert "mean_intensity" in response
    rows = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", rows)) == {"plls", "signal_fraction", "empty", *QUALITY_FEATURES}


def test_planes_are_chosen_as_their_page_shows(run_task: RunTask, data_dir: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "images.md").read_text(), re.DOTALL)
    asked = yaml.safe_load(block)["parameters"]["focus-score"]
    path = data_dir / "A01.ome.tif"
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 3, 64, 64), np.uint16)
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "CZYX", "Channel": {"Name": ["GFP", "DAPI"]}})
    response = run_task("focus-score", path, parameters=asked).response
    assert response["planes"] == 6
    assert response["plane"]["channel"] == 1
    assert response["facts"] == {"channel_names": ["GFP", "DAPI"]}
    refused = run_task("focus-score", path, parameters={**asked, "scene": 1})
    assert refused.state is TaskState.BAD_INPUT
    assert "no scene 1" in refused.message


def test_python_of_the_images_page_works(web: WebServer, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "images.md").read_text(), re.DOTALL)
    path = tmp_path / "plate7" / "A01.tif"
    path.parent.mkdir()
    metadata = {"axes": "CYX", "Channel": {"Name": ["GFP", "DAPI"]}}
    tifffile.imwrite(path, np.stack([cells(64), cells(64, seed=1)]), ome=True, metadata=metadata)
    web.files["/plate7/A01.tif"] = path.read_bytes()
    defined: dict[str, Any] = {}
    for block in blocks:
        exec(block.replace("https://images.example.org", web.url).replace("/mnt/nas", str(tmp_path)), defined)
    assert np.array_equal(defined["image"].pixels, cells(64, seed=1))
    assert defined["access"].buckets["cellpainting-gallery"].anonymous


def test_limits_are_those_of_the_page() -> None:
    page = (DOCS / "images.md").read_text()
    defaults = WorkerSettings()
    assert f"`image_limit_bytes` | {defaults.image_limit_bytes // 10**9} GB |" in page
    assert f"`download_limit_bytes` | {defaults.download_limit_bytes // 2**30} GiB |" in page
    assert f"`task_memory_bytes` | {(defaults.task_memory_bytes or 0) // 2**30} GiB |" in page
