"""A worker's child process scores what microscopes write, and goes on after what is damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from haste_core.features import measure
from haste_core.states import TaskState
from tests.unit.imaging.vendor_files import lif_bytes, nd2_bytes, stack_in_lif, write_czi
from tests.unit.imaging.zarr_folders import chunk_files, write_image
from tests.unit.workers.bench import cells
from tests.unit.workers.running_worker import RunningWorker


def test_every_format_is_scored_in_one_child(start: Callable[..., RunningWorker], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pixels = cells()
    write_czi(data / "a.czi", {(0, 0, 0, 0): pixels})
    (data / "a.lif").write_bytes(lif_bytes(stack_in_lif("a", pixels, "YX")))
    (data / "a.nd2").write_bytes(nd2_bytes({0: pixels[..., None]}))
    write_image(data / "a.zarr", pixels, "yx", zarr_format=2)
    worker = start(measuring=True, roots={"data": data})
    for path in sorted(data.iterdir()):
        result = worker.run("focus-score", url=path.as_uri())
        assert result.state is TaskState.DONE, result.message
        assert result.response["plls"] == pytest.approx(measure(pixels).plls)
        for file in [path] if path.is_file() else chunk_files(path / "0"):
            file.write_bytes(file.read_bytes()[:-2000])
        result = worker.run("focus-score", url=path.as_uri())
        assert result.state is TaskState.BAD_INPUT
        assert result.message.startswith("not a readable image: ")
