"""Operators of installed packages: found by name, and held to what they say of themselves."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from haste_core.routing import Roots
from haste_core.states import TaskState
from haste_workers.operators import ENTRY_POINT_GROUP
from tests.unit.workers.bench import RunTask, cells

MODULE = """
class Operator:
    lossless = False

    def __init__(self, levels=16):
        self.levels = levels
        self.parameters = {"levels": levels}
        self.description = f"{self.name}({levels})"

class Coarser(Operator):
    name = "coarser"
    def apply(self, image):
        return image // self.levels * self.levels

class Liar(Coarser):
    name = "liar"
    lossless = True

class Cropper(Operator):
    name = "cropper"
    def apply(self, image):
        return image[1:]

class Broken(Operator):
    name = "broken"
    def apply(self, image):
        return image[self.levels, 0, 0, 0]

class Choosy(Operator):
    name = "choosy"
    def apply(self, image):
        raise ValueError("only images of mice")

def nothing():
    return None
"""

NAMES = {
    "coarser": "Coarser",
    "liar": "Liar",
    "cropper": "Cropper",
    "broken": "Broken",
    "choosy": "Choosy",
    "nothing": "nothing",
    "gone": "Gone",
}


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a distribution as pip does: its module, and beside it what it declares."""
    declared = tmp_path / "site" / "lab_operators-1.0.dist-info"
    declared.mkdir(parents=True)
    (tmp_path / "site" / "lab_operators.py").write_text(MODULE)
    (declared / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-operators\nVersion: 1.0\n")
    points = "\n".join(f"{name} = lab_operators:{made}" for name, made in NAMES.items())
    (declared / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{points}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    sys.modules.pop("lab_operators", None)


def test_an_operator_of_a_package_by_its_name(run_task: RunTask, cells_tiff: Path, tmp_path: Path) -> None:
    steps = [{"operator": "coarser", "levels": 256}, "recompress"]
    result = run_task("preprocess", cells_tiff, parameters={"operators": steps})
    assert result.state is TaskState.DONE, result.message
    assert (result.response["lossless"], result.response["description"]) == (False, "coarser(256)")
    target = Path(Roots.parse({"work": tmp_path / "work"}).path_of(result.place.url))
    np.testing.assert_array_equal(tifffile.imread(target), cells() & 0xFF00)
    with tifffile.TiffFile(target) as tiff:
        assert "not original pixels: coarser(256)" in tiff.pages.first.description


@pytest.mark.parametrize(
    ("name", "state", "said"),
    [
        ("liar", TaskState.ERROR, "says that it is lossless, and has changed pixels"),
        ("cropper", TaskState.ERROR, "the plane's shape"),
        ("broken", TaskState.ERROR, "the operator broken failed: IndexError: too many indices"),
        ("choosy", TaskState.BAD_INPUT, "the operator choosy cannot work on this image: only images of mice"),
        ("nothing", TaskState.ERROR, "lacks one of name"),
        ("gone", TaskState.ERROR, "cannot be loaded: AttributeError"),
        ("absent", TaskState.ERROR, "known here: broken, choosy, coarser, cropper, floodfill, gone, liar"),
    ],
)
def test_what_is_wrong_with_an_operator_is_told(
    run_task: RunTask, cells_tiff: Path, name: str, state: TaskState, said: str
) -> None:
    result = run_task("preprocess", cells_tiff, parameters={"operator": name})
    assert result.state is state
    assert said in result.message
    assert result.place is None


def test_a_parameter_that_it_does_not_take_is_told(run_task: RunTask, cells_tiff: Path) -> None:
    result = run_task("preprocess", cells_tiff, parameters={"operator": "coarser", "level": 3})
    assert result.state is TaskState.ERROR
    assert "the operator coarser cannot be made of {'level': 3}" in result.message
