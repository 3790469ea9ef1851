"""How the files of known microscopes are named, and how a user says that theirs are named otherwise."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from haste_core.errors import InvalidError, Problem
from haste_core.filenames import NamePattern

OWN_EXPRESSION = "your expression"

_PRESET_NAME = re.compile("[a-z0-9-]+", re.IGNORECASE)


@cache
def load_presets() -> dict[str, NamePattern]:
    """Read the presets that come with HASTE server (``config/names``), by name."""
    folder = files("haste_config") / "names"
    found = (file for file in folder.iterdir() if file.name.endswith(".yaml"))
    patterns = sorted((_read(file) for file in found), key=lambda pattern: pattern.name)
    return {pattern.name: pattern for pattern in patterns}


def name_pattern(text: str) -> NamePattern:
    """Find out how files are named from what a user said.

    Parameters
    ----------
    text : str
        A preset's name, the path of a YAML file like those of the presets (``….yaml``), or a regular
        expression with named groups.

    Raises
    ------
    InvalidError
        If it is none of these; with everything that is wrong.
    """
    if text.lower().endswith((".yaml", ".yml")):
        return _read(Path(text))
    if _PRESET_NAME.fullmatch(text):
        presets = load_presets()
        if text.lower() not in presets:
            names = ", ".join(presets)
            what = (
                f"{text!r} is none of {names}, nor an expression such as (?P<well>[A-P]\\d\\d)_s(?P<site>\\d)"
            )
            raise InvalidError([Problem("names", what)])
        return presets[text.lower()]
    return NamePattern.from_json({"name": OWN_EXPRESSION, "patterns": [text]})


def _read(file: Traversable) -> NamePattern:
    try:
        value: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return NamePattern.from_json(value)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidError([Problem(str(file), f"cannot be read as YAML: {error}")]) from error
    except InvalidError as error:
        raise InvalidError(
            Problem(f"{file}: {problem.where}", problem.what) for problem in error.problems
        ) from error
