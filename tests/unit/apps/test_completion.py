"""Shells complete the commands and options of all programs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from haste_apps.agent.cli import app as haste_agent
from haste_apps.cli import app as haste
from haste_server.cli import app as haste_server
from haste_workers.cli import app as haste_worker
from tests.unit.apps.commands import commands_of

PROGRAMS = {
    "haste": haste,
    "haste-agent": haste_agent,
    "haste-server": haste_server,
    "haste-worker": haste_worker,
}


def variable(program: str) -> str:
    return f"_{program.upper().replace('-', '_')}_COMPLETE"


def complete(program: str, *words: str) -> list[str]:
    """Return what bash offers for the last of some words."""
    asked = {
        variable(program): "complete_bash",
        "COMP_WORDS": " ".join((program, *words)),
        "COMP_CWORD": str(len(words)),
    }
    return _run(program, asked).stdout.split()


def _run(program: str, environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(PROGRAMS[program], list(arguments), env=environment, prog_name=program)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["haste", "do"], ["doctor"]),
        (["haste", "token", "r"], ["revoke"]),
        (["haste", "submit", "--unp"], ["--unparsed"]),
        (["haste", "report", "plate7", "--format", "p"], ["parquet"]),
        (["haste", "mode", "plate7", "e"], ["enforce"]),
        (["haste-agent", "--dry"], ["--dry-run"]),
        (["haste-server", "check"], ["check-config"]),
        (["haste-server", "--pipelines"], ["--pipelines-dir"]),
        (["haste-worker", "--conc"], ["--concurrency"]),
    ],
)
def test_words_are_completed(words: list[str], offered: list[str]) -> None:
    assert complete(*words) == offered


def test_every_command_is_offered_and_what_is_hidden_is_not() -> None:
    assert set(complete("haste", "")) == {name.split()[0] for name, _ in commands_of(haste)}
    assert set(complete("haste-server", "")) == {"check-config", "db"}
    assert "--parent" not in complete("haste", "simulate", "--p")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_program_tells_its_script_for_each_shell(program: str, shell: str) -> None:
    told = _run(program, {variable(program): f"source_{shell}"})
    assert told.exit_code == 0
    assert program in told.stdout
    assert variable(program) in told.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_can_install_it(program: str) -> None:
    shown = _run(program, {}, "--help").stdout
    assert "--install-completion" in shown
    assert "--show-completion" in shown


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_does_as_the_script_says(tmp_path: Path) -> None:
    program = tmp_path / "haste"
    program.write_text(f"#!{sys.executable}\nfrom haste_apps.cli import main\n\nmain()\n")
    program.chmod(0o755)
    script = _run("haste", {variable("haste"): "source_bash"}).stdout
    typed = 'COMP_WORDS=(haste expl); COMP_CWORD=1; _haste_completion haste; echo "${COMPREPLY[@]}"'
    run = subprocess.run(
        ["bash", "--norc", "-c", f'PATH="{tmp_path}:$PATH"\n{script}\n{typed}'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "explain"
