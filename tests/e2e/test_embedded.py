"""A server in one line, as notebooks and tests have it."""

from pathlib import Path
from typing import Any

import pytest

import haste_apps
from haste_core.errors import ConflictError
from tests.e2e.documentation import blocks_of
from tests.e2e.plates import write_image

MOVING = {
    "name": "move-all",
    "description": "Move each image to the only tier",
    "tasks": {"taskSequential": ["focus-score", "tier"]},
    "interestingness": {
        "function": "logistic",
        "features_from": "focus-score",
        "parameters": {"feature": "plls", "k": 4.5, "x0": -1.4},
    },
    "policy": {"intervals": [{"lo": 0, "hi": 1, "tier": "all"}], "undefined": "all", "move": True},
}


def test_the_clients_page_works_as_it_stands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for number in range(1, 4):
        write_image(tmp_path / f"data/plates/plate7/A01_s{number}.tif", seed=number)
    (tmp_path / "data/plates/plate7/A02_s1.tif").write_bytes(b"II*\0 no image")
    notebook: dict[str, Any] = {}
    try:
        for block in blocks_of("docs/client.md"):
            exec(block.text.replace("/data/", f"{tmp_path}/data/"), notebook)
            if "haste" in notebook:
                assert (notebook["haste"].data_dir / "haste.sqlite3").exists() is ("stop()" not in block.text)
    finally:
        if "haste" in notebook:
            notebook["haste"].stop()
    assert len(notebook["sharp"]) == 3
    assert notebook["stream"].progress.failed == 1
    assert notebook["job"].source_id == "A02_s1.tif"
    assert notebook["event"].open == 0
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "it leaves nothing"
    for name, said in (("submission", "A02_s1.tif"), ("stream", "focus-tier"), ("haste", "stopped")):
        assert said in notebook[name]._repr_html_()


@pytest.mark.slow  # tests/integration/api/test_originals.py is the quick form
def test_embedded_server_works_at_once_and_keeps_what_was_moved_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASTE_SERVER_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HASTE_DATABASE_URL", "mysql://nobody@127.0.0.1:9/nothing")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for number in range(3):
        write_image(tmp_path / f"plate7/site{number}.tif", seed=number)
    haste = haste_apps.embedded(roots={"lab": tmp_path}, workers=1, pipelines=[MOVING]).start()
    try:
        assert haste.page == f"{haste.url}/?token={haste.token}"
        assert haste.client.workers().workers
        submission = haste.client.submit_directory(
            tmp_path / "plate7", pipeline="move-all", mode="enforce"
        ).wait(timeout_s=120)
        assert [(result.state, result.tier) for result in submission.results()] == [("done", "all")] * 3
        haste.client.set_mode("plate7", "observe")  # moves nothing any more, but has
        with pytest.raises(ConflictError, match="runs already"):
            haste.start()
    finally:
        with pytest.warns(UserWarning, match="is kept"):
            haste.stop()
    assert not list((tmp_path / "plate7").iterdir())
    assert len(list(haste.data_dir.glob("tiers/all/**/*.tif"))) == 3
    with pytest.raises(ConflictError, match="does not run"):
        _ = haste.client
