"""What `haste submit`, `jobs` and `mode` tell, of a server in this process."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from haste_apps.cli import app
from haste_client import HasteClient, holdups
from haste_core.messages import Presence
from tests.integration.api.conftest import Api
from tests.integration.served_api import served_api
from tests.integration.web.conftest import seen


@pytest.fixture(scope="module")
def served(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, str]]:
    """Return a server without a token, and its address."""
    with served_api(tmp_path_factory.mktemp("submitting"), empty_database, token=None) as served:
        yield served


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """Return a folder with two files that are called like images."""
    for name in ("A01.tif", "A02.tif"):
        (tmp_path / name).write_bytes(b"II*\0")
    return tmp_path


def test_who_does_not_wait_is_told_how_to_look_later(served: tuple[Api, str], plate: Path) -> None:
    submit = ["submit", str(plate), "--stream", "later", "--server", served[1]]
    run = CliRunner().invoke(app, submit)
    assert run.exit_code == 0, run.output
    assert "stream later: 2 new images, 0 known already" in run.stderr
    assert "`haste jobs --stream later --state failed` what went wrong" in run.stderr
    again = CliRunner().invoke(app, submit)
    assert "what went wrong" not in again.stderr  # nothing new is on its way


def test_a_stream_that_is_not_there_is_no_stream_without_jobs(served: tuple[Api, str]) -> None:
    of_plaet7 = ["jobs", "--stream", "plaet7", "--server", served[1]]
    for options in ([], ["--json"]):
        run = CliRunner().invoke(app, [*of_plaet7, *options])
        assert run.exit_code == 2
        assert "there is no stream 'plaet7'" in run.stderr


@pytest.mark.parametrize(
    ("move", "said"), [(False, "stay where they are"), (True, "are removed once their copies are verified")]
)
def test_before_a_stream_enforces_it_is_said_what_becomes_of_originals(
    served: tuple[Api, str], move: bool, said: str
) -> None:
    api, url = served
    name = f"move-{move}"
    with HasteClient(url) as client:
        client.create_stream(name, pipeline="focus-tier")
    pipeline = api.store.stream(name).pipeline
    assert pipeline.policy is not None
    policy = pipeline.policy.model_copy(update={"move": move})
    api.store.set_policy(name, pipeline.model_copy(update={"policy": policy}))

    run = CliRunner().invoke(app, ["mode", name, "enforce", "--server", url], input="n\n")
    assert f"originals {said}" in run.stderr, run.output
    assert said in seen(api.client.get(f"/stream/{name}/mode").text)


def test_who_waits_at_the_wrong_site_is_told_the_right_one(
    served: tuple[Api, str], plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, url = served
    presence = Presence(
        worker_id="w1",
        host="pc",
        pid=1,
        keys=("focus-score", "tier"),
        site="hpc",
        slots=1,
        version=version("haste-server"),
        sent_at=api.now,
    )
    api.store.save_presence([presence], now=api.now)
    monkeypatch.setattr(holdups, "QUIET_S", 0.0)
    told: list[str] = []
    with HasteClient(url) as client:
        submission = client.submit_directory(plate, stream_id="elsewhere")
        with pytest.raises(TimeoutError):
            submission.wait(timeout_s=0.2, tell=told.append)
        assert repr(submission) == "<Submission to stream elsewhere: 2 images, 0 done, 0 failed, 2 open>"
    [waiting] = [text for text in told if "'focus-score' at site 'default'" in text]
    assert waiting.endswith("until one is started (haste-worker). Workers take it at site 'hpc'")
