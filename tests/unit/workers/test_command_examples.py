"""The pipelines in config/examples call their programs as these want it, which stand-ins check."""

import sys
from pathlib import Path

import yaml

from haste_core.messages import TaskResult
from haste_core.pipelines import Pipeline
from haste_core.states import TaskState
from tests.unit.workers.bench import RunTask

EXAMPLES = Path(__file__).parents[3] / "config" / "examples"
CELLPROFILER = """
given = dict(zip(sys.argv[1:], sys.argv[2:]))
assert {"-c", "-r"} < set(sys.argv) and given["-p"].endswith(".cppipe")
image = open(given["--file-list"]).read().strip()
names = "ImageNumber,ImageQuality_PowerLogLogSlope_myimages,ImageQuality_PercentMaximal_myimages"
with open(os.path.join(given["-o"], "MyExpt_Image.csv"), "w") as table:
    table.write(f"{names}\\n1,-1.5,{os.path.getsize(image)}\\n")
"""
FIJI = """
assert sys.argv[1:3] == ["--headless", "-macro"] and sys.argv[3].endswith(".ijm")
print(json.dumps({"count": os.path.getsize(sys.argv[4])}))
"""


def run(
    example: str, program: str, code: str, run_task: RunTask, tmp_path: Path, data_dir: Path
) -> TaskResult:
    pipeline = Pipeline.parse(yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text(encoding="utf-8")))
    stand_in, source = tmp_path / program, data_dir / "a.tif"
    stand_in.write_text(f"#!{sys.executable}\nimport json, os, sys\n{code}")
    stand_in.chmod(0o755)
    source.write_bytes(b"pixels")
    result = run_task(
        "command",
        source,
        settings={"programs": {program: stand_in}},
        parameters=pipeline.parameters["command"],
    )
    assert result.state is TaskState.DONE, result.message
    return result


def test_cellprofiler(run_task: RunTask, tmp_path: Path, data_dir: Path) -> None:
    result = run("cellprofiler-quality", "cellprofiler", CELLPROFILER, run_task, tmp_path, data_dir)
    assert result.response == {
        "ImageQuality_PowerLogLogSlope_myimages": -1.5,
        "ImageQuality_PercentMaximal_myimages": 6,
    }


def test_fiji(run_task: RunTask, tmp_path: Path, data_dir: Path) -> None:
    assert run("fiji-count", "fiji", FIJI, run_task, tmp_path, data_dir).response == {"count": 6}
