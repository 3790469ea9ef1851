"""The house rules that no linter checks."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

_REPOSITORY = Path(__file__).resolve().parents[2]
_PACKAGES = sorted(path.parent for path in _REPOSITORY.glob("haste_*/__init__.py"))

_IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import haste_client

for module in pkgutil.walk_packages(haste_client.__path__, "haste_client."):
    importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_all_packages_are_found() -> None:
    names = {package.name for package in _PACKAGES}
    assert names == {
        "haste_apps",
        "haste_client",
        "haste_core",
        "haste_server",
        "haste_runtime",
        "haste_workers",
    }


@pytest.mark.parametrize("package", _PACKAGES, ids=lambda package: package.name)
def test_package_is_typed_and_says_what_it_is_for(package: Path) -> None:
    assert (package / "py.typed").is_file()
    assert ast.get_docstring(ast.parse((package / "__init__.py").read_text()))


def test_yaml_files_load() -> None:
    files = [_REPOSITORY / ".pre-commit-config.yaml", *_REPOSITORY.glob("config/**/*.yaml")]
    for file in files:
        assert yaml.safe_load(file.read_text()), f"{file} is empty"


def test_client_loads_nothing_heavy() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _IMPORT_EVERYTHING], capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "haste_client" in loaded
    heavy = {"numpy", "scipy", "flask", "sqlalchemy", "pika", "tifffile", "imagecodecs", "mrcfile", "PIL"}
    heavy |= {"pandas", "pyarrow"}
    assert loaded & heavy == set()


def test_libraries_of_extras_are_loaded_when_a_file_needs_them() -> None:
    code = "import sys, haste_workers.imaging.read; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "haste_workers.imaging.formats.czi" in run.stdout.split()
    assert set(run.stdout.split()) & {"zarr", "nd2", "liffile", "pylibCZIrw", "dask"} == set()


def test_every_pin_is_one_exact_version() -> None:
    lines = (_REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 30
    assert all("==" in pin and " " not in pin.partition(";")[0].strip() for pin in pins)


def test_pictures_that_readers_are_shown_are_there_and_small() -> None:
    pages = [_REPOSITORY / "README.md", *_REPOSITORY.glob("docs/*.md")]
    shown = {
        page.parent / name for page in pages for name in re.findall(r"!\[.+?\]\(([^)]+)\)", page.read_text())
    }
    assert {path.name for path in shown} >= {"stream.png", "edge.png", "measurements.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in shown)
    assert sum(path.stat().st_size for path in shown) < 600_000
