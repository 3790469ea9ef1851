"""The commands of a program, as a user can type them."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command


def commands_of(app: typer.Typer) -> Iterator[tuple[str, Any]]:
    """Go through all commands that `--help` shows, with their words; a program that is one has none."""
    yield from _below(get_command(app), ())


def options_of(command: Any) -> set[str]:
    """Return the names of a command's options."""
    return {option for parameter in command.params for option in parameter.opts}


def _below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield " ".join(words), command
        return
    for name, inner in sorted(command.commands.items()):
        if not inner.hidden:
            yield from _below(inner, (*words, name))
