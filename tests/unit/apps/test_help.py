"""What `--help` shows: examples that can be typed, and nothing that is cut off."""

import shlex
from functools import cache
from typing import Any

import pytest
import typer
from typer.main import get_command
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
COMMANDS = [(program, words) for program, app in PROGRAMS.items() for words, _ in commands_of(app)]
WIDTH = 80


@cache
def help_of(program: str, words: str) -> str:
    run = CliRunner().invoke(PROGRAMS[program], [*words.split(), "--help"], env={"COLUMNS": str(WIDTH)})
    assert run.exit_code == 0
    return run.stdout


def examples_in(shown: str) -> list[str]:
    """Return the lines below the head "Examples:"."""
    _, head, below = shown.partition("\n Example")
    assert head, shown
    return [line.strip() for line in below.splitlines()[1:] if line.strip()]


def check_that_it_can_be_typed(app: typer.Typer, example: str) -> str:
    """Read a command line as the program does, without doing anything; return the words of the command."""
    command: Any = get_command(app)
    _, *given = shlex.split(example.partition(" > ")[0])
    words = []
    while hasattr(command, "commands"):
        given = command.make_parser(command.context_class(command)).parse_args(args=given)[1]
        if not given:
            break
        word, *given = given
        words.append(word)
        command = command.commands[word]
    left = command.make_parser(command.context_class(command)).parse_args(args=given)[1]
    assert left == []
    return " ".join(words)


@pytest.mark.parametrize(("program", "words"), COMMANDS)
def test_every_command_shows_examples_that_can_be_typed(program: str, words: str) -> None:
    examples = examples_in(help_of(program, words))
    assert examples
    for example in examples:
        assert example.startswith(program)
        assert check_that_it_can_be_typed(PROGRAMS[program], example) == words


@pytest.mark.parametrize(("program", "words"), [*COMMANDS, ("haste", ""), ("haste-server", "")])
def test_nothing_is_cut_off_in_a_usual_terminal(program: str, words: str) -> None:
    shown = help_of(program, words).replace("HASTE_…", "").replace("HASTE_AGENT_…", "")
    assert "…" not in shown


def test_an_example_that_cannot_be_typed_is_found() -> None:
    with pytest.raises(Exception, match="--colour"):
        check_that_it_can_be_typed(haste, "haste jobs --colour red")


def test_the_server_alone_shows_how_it_is_started() -> None:
    assert "haste-server --root plates=/data/plates" in examples_in(help_of("haste-server", ""))
