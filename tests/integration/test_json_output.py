"""With --json, every command of `haste` writes JSON to stdout, and nothing else."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import Result
from typer.testing import CliRunner

from haste_apps.cli import app
from tests.integration.api.conftest import Api
from tests.integration.served_api import served_api
from tests.integration.web.conftest import measure
from tests.unit.apps.commands import commands_of

ELSEWHERE = {
    "demo": "starts a server of its own, and runs for a minute: tests/e2e/test_demo.py",
    "calibrate": "measures many images: tests/unit/apps/test_calibrating.py",
    "events": "goes on until Ctrl-C: tests/integration/api/test_following.py",
}
"""Commands that take --json, but are not run here, with the reason."""

RUNS = {
    "alerts": "plate7",
    "cancel": "1",
    "complete": "plate7",
    "doctor": "",
    "evaluate": "labels.csv",
    "explain": "plate7 A01.tif",
    "job": "1",
    "jobs": "--stream plate7",
    "mode": "plate7 observe --yes",
    "names": "images --names 'A(?P<site>[0-9]+)'",
    "pin": "plate7 A01.tif --tier tierA --reason good",
    "policy": "plate7 --file policy.yaml --apply --yes",
    "recall": "plate7 A02.tif",
    "report": "plate7",
    "retry": "--stream plate7",
    "score": "images",
    "simulate": "simulated --count 1 --size 32 --rate 99",
    "streams": "",
    "submit": "images",
    "task": "1",
    "token create": "pc --scope read",
    "token list": "",
    "token revoke": "pc",
    "trash empty": "archive --dry-run",
    "trash list": "archive",
    "unpin": "plate7 A01.tif --reason 'as others'",
    "verify": "plate7",
    "watch": "images --once --settle 0",
    "audit": "",
}
"""What each command is given, in an order in which they can be run one after the other."""

SAY_NOTHING = {"alerts", "trash list", "watch"}
"""Lists that are empty here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images, labels and a policy."""
    folder = tmp_path_factory.mktemp("json")
    (folder / "images").mkdir()
    pixels = np.random.default_rng(7).integers(0, 4000, (64, 64)).astype("u2")
    tifffile.imwrite(folder / "images" / "A1.tif", pixels)
    (folder / "labels.csv").write_text("image,label,score\na,good,0.9\nb,bad,0.1\nc,good,0.8\n")
    (folder / "policy.yaml").write_text(
        "intervals:\n- {lo: 0.0, hi: 0.5, tier: tierB}\n- {lo: 0.5, hi: 1.0, tier: tierA}\nundefined: empty\n"
    )
    return folder


@pytest.fixture(scope="module")
def api(folder: Path, empty_database: Path) -> Iterator[Api]:
    """Return a server at which two images were decided about."""
    with served_api(folder, empty_database, token=None) as (api, url), pytest.MonkeyPatch.context() as patch:
        measure(api, {"A01.tif": -1.0, "A02.tif": -2.0})
        api.attend("focus-score", "tier")
        patch.setenv("HASTE_SERVER_URL", url)
        patch.setenv("HASTE_CLIENT_CONFIG", str(folder / "client.yaml"))
        yield api


def haste(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_every_command_takes_json() -> None:
    there = dict(commands_of(app))
    taking = {
        name for name, command in there.items() if any("--json" in each.opts for each in command.params)
    }
    assert set(there) - taking == set()
    assert set(there) == set(RUNS) | set(ELSEWHERE)


def test_stdout_is_json_and_nothing_else(api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for command, given in RUNS.items():
        run = haste(*command.split(), *shlex.split(given), "--json")
        assert run.exit_code in (0, 1), (command, run.output)
        assert run.exception is None or isinstance(run.exception, SystemExit), (command, run.exception)
        lines = run.stdout.splitlines()
        assert bool(lines) or command in SAY_NOTHING, (command, run.stderr)
        for line in lines:
            assert isinstance(json.loads(line), dict), (command, line)


def test_errors_go_to_stderr(api: Api, folder: Path) -> None:
    for arguments in (("job", "99"), ("explain", "plate7", "none"), ("jobs", "--state", "nonsense")):
        run = haste(*arguments, "--json")
        assert (run.exit_code, run.stdout) == (2, "")
        # The server in this process may tell its log there, too.
        assert run.stderr.splitlines()[-1].startswith("haste: ")
