"""The pipelines that streams may name: those that come with the server, and the site's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import yaml

from haste_core.errors import InvalidError, Problem
from haste_core.pipelines import Pipeline


def load_pipelines(own_folder: Path | None = None) -> dict[str, Pipeline]:
    """Read all pipelines; one of the site's own replaces one that comes with the server.

    Parameters
    ----------
    own_folder : Path, optional
        YAML files, one pipeline each.

    Returns
    -------
    dict of Pipeline
        By name.

    Raises
    ------
    InvalidError
        With the file and what is wrong in it, for all files.
    """
    folders: list[Traversable] = [files("haste_config") / "pipelines"]
    if own_folder is not None:
        if not own_folder.is_dir():
            raise InvalidError([Problem("pipelines_dir", f"{own_folder} is no folder")])
        folders.append(own_folder)
    problems: list[Problem] = []
    pipelines = [_read(file, problems) for file in _yaml_files(folders)]
    if problems:
        raise InvalidError(problems)
    return {pipeline.name: pipeline for pipeline in pipelines if pipeline is not None}


def named_tiers(pipelines: Mapping[str, Pipeline]) -> frozenset[str]:
    """Collect the tiers that pipelines put objects to."""
    policies = (pipeline.policy for pipeline in pipelines.values())
    return frozenset(tier for policy in policies if policy is not None for tier in policy.tiers)


def _yaml_files(folders: Iterable[Traversable]) -> Iterator[Traversable]:
    for folder in folders:
        found = (file for file in folder.iterdir() if file.name.endswith((".yaml", ".yml")))
        yield from sorted(found, key=lambda file: file.name)


def _read(file: Traversable, problems: list[Problem]) -> Pipeline | None:
    try:
        return Pipeline.parse(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(Problem(str(file), f"cannot be read as YAML: {error}"))
    except InvalidError as error:
        problems.extend(Problem(f"{file}: {problem.where}", problem.what) for problem in error.problems)
    return None
