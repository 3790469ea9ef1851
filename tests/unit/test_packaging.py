"""What `pip install .` takes along: an installed server needs more than modules."""

import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def declared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Read what setup.py declares, without building anything."""
    found: dict[str, Any] = {}
    setuptools = ModuleType("setuptools")
    setuptools.setup = found.update  # type: ignore[attr-defined]
    setuptools.find_packages = lambda include: []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "setuptools", setuptools)
    runpy.run_path(str(REPOSITORY / "setup.py"))
    return found


def test_every_file_of_the_packages_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns: dict[str, list[str]] = declared(monkeypatch)["package_data"]
    folders = [*REPOSITORY.glob("haste_*/"), REPOSITORY / "config"]
    packages = [file.parent for folder in folders for file in folder.rglob("__init__.py")]
    taken = {file for package in packages for file in package.glob("*.py")}
    for package in packages:
        name = package.relative_to(REPOSITORY).as_posix().replace("/", ".")
        for pattern in [*patterns[""], *patterns.get(name, [])]:
            taken |= set(package.glob(pattern))
    there = {
        file
        for package in packages
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert len(there) > 100
    assert there - taken == set()
