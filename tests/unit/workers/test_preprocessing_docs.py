"""What docs/preprocessing.md tells users works as it says."""

import re
from pathlib import Path
from typing import Any, get_args

import imagecodecs
import numpy as np
import pytest
import yaml

from haste_core.operators import Floodfill, Operator, Recompress, Threshold
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from haste_workers.imaging.encode import write_smaller
from haste_workers.imaging.packing import Codec, Packing
from haste_workers.operators import ENTRY_POINT_GROUP, applied
from tests.unit.workers.bench import RunTask

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "preprocessing.md").read_text()


def shown(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def tile() -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 25, (128, 128)).astype(np.uint8)
    image[30:90, 30:90] += 100
    return image


@pytest.mark.parametrize("block", shown("yaml"))
def test_its_pipelines_preprocess(run_task: RunTask, data_dir: Path, block: str) -> None:
    described = yaml.safe_load(block)
    if "tasks" in described:
        assert Pipeline.parse(described).parameters == described["parameters"]
    path = data_dir / "tile.png"
    path.write_bytes(bytes(imagecodecs.png_encode(tile())))
    result = run_task("preprocess", path, parameters=described["parameters"]["preprocess"])
    assert result.state is TaskState.DONE, result.message
    assert result.response["lossless"] is False
    assert set(re.findall(r"`(\w+)`", PAGE.partition("## What is answered")[2].partition("##")[0])) == set(
        result.response
    )


def test_its_tables_name_all_there_is() -> None:
    named = [re.findall(r"^\| `(\w+)`", part, re.MULTILINE) for part in PAGE.split("\n## ")]
    operators: list[type[Operator]] = [Recompress, Floodfill, Threshold]
    assert named[1] == ["operator", *(operator.name for operator in operators)]
    assert set(named[2]) == {"codec", *get_args(Codec)}
    assert f"`{Packing().codec}`, the default" in PAGE
    assert f'[project.entry-points."{ENTRY_POINT_GROUP}"]' in PAGE


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack, median = shown("python")
    (tmp_path / "smaller").mkdir()
    (tmp_path / "tile_0001.png").write_bytes(bytes(imagecodecs.png_encode(tile(), level=1)))
    monkeypatch.chdir(tmp_path / "smaller")
    write_smaller(tmp_path / "tile_0001.png", Path(), packing=Packing("jxl"))
    exec(unpack, {})
    np.testing.assert_array_equal(imagecodecs.png_decode(Path("tile_0001.png").read_bytes()), tile())
    defined: dict[str, Any] = {"__name__": "lab_operators"}
    exec(median, defined)
    speckled = np.full((20, 20), 7, np.uint8)
    speckled[10, 10] = 200
    operator = defined["Median"](side_px=5)
    assert (operator.description, operator.lossless) == ("median(side_px=5)", False)
    assert (applied(operator, speckled) == 7).all()
