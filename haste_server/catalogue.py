"""The pipelines that streams may name: those that come with the server, and the site's own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
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


def check_tiers(pipelines: Mapping[str, Pipeline], tiers: Collection[str]) -> None:
    """Refuse tiers that nobody has named, once the settings name some.

    Those of the pipelines that come with the server are known: they have a folder if the settings say nothing
    else. With no tiers in the settings, all have one, and none is unknown.

    Parameters
    ----------
    pipelines : mapping of Pipeline
    tiers : collection of str
        Names in the settings.

    Raises
    ------
    InvalidError
        With each pipeline and tier that is not known.
    """
    known = named_tiers(load_pipelines()) | set(tiers)
    unknown = [
        (name, tier) for name in pipelines for tier in sorted(named_tiers({name: pipelines[name]}) - known)
    ]
    if tiers and unknown:
        raise InvalidError(Problem(f"pipeline {name}", _unknown_tier(tier, known)) for name, tier in unknown)


def _unknown_tier(tier: str, known: Collection[str]) -> str:
    by_small = {name.lower(): name for name in sorted(known)}
    similar = get_close_matches(tier.lower(), by_small, n=1)
    meant = f"did you mean {by_small[similar[0]]}? " if similar else ""
    return (
        f"there is no tier {tier!r}; {meant}Known are {', '.join(sorted(known))}; name it under "
        "`tiers:` in the settings if it is another one"
    )


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
