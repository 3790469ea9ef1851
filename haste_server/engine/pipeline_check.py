"""Whether the functions and policies of users that pipelines name can be made: tried in a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from haste_core.errors import InvalidError, Problem
from haste_core.interestingness import BUILT_IN
from haste_core.pipelines import Pipeline
from haste_core.policies import OwnPolicy
from haste_runtime.endings import describe_ending
from haste_server.extensions import ExtensionError, own_function, own_policy
from haste_server.processes.environment import environment_without_secrets

LIMIT_S = 60.0  # a function may load a model


def check_own_parts(pipelines: Mapping[str, Pipeline]) -> None:
    """Try to make what pipelines name of users' own code.

    Raises
    ------
    InvalidError
        With every function and policy that is not there, or does not take its parameters.
    """
    asked = {name: pipeline.to_json() for name, pipeline in pipelines.items() if _has_own_parts(pipeline)}
    if not asked:
        return
    try:
        run = subprocess.run(
            [sys.executable, "-m", "haste_server.engine.pipeline_check"],
            input=json.dumps(asked).encode(),
            stdout=subprocess.PIPE,
            env=environment_without_secrets(),
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        what = f"an own function or policy took longer than {LIMIT_S:g} s to be loaded"
        raise InvalidError([Problem(", ".join(sorted(asked)), what)]) from error
    if run.returncode:
        what = f"the process that loads own functions and policies {describe_ending(run.returncode)}"
        raise InvalidError([Problem(", ".join(sorted(asked)), what)])
    if problems := json.loads(run.stdout):
        raise InvalidError(Problem(*problem) for problem in problems)


def _has_own_parts(pipeline: Pipeline) -> bool:
    spec = pipeline.interestingness
    has_function = spec is not None and spec.function not in BUILT_IN
    return has_function or isinstance(pipeline.policy, OwnPolicy)


def _problems(pipelines: Mapping[str, Pipeline]) -> list[tuple[str, str]]:
    problems = []
    for name, pipeline in pipelines.items():
        spec, policy = pipeline.interestingness, pipeline.policy
        try:
            if spec is not None and spec.function not in BUILT_IN:
                own_function(spec.function, spec.parameters)
        except ExtensionError as error:
            problems.append((f"{name}: interestingness", str(error)))
        try:
            if isinstance(policy, OwnPolicy):
                own_policy(policy.policy, policy.parameters)
        except ExtensionError as error:
            problems.append((f"{name}: policy", str(error)))
    return problems


def main() -> None:
    """Read pipelines from stdin, and write their problems to stdout, as JSON."""
    # What users' code prints must not get into the answer.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        asked = {name: Pipeline.parse(pipeline) for name, pipeline in json.load(sys.stdin).items()}
        json.dump(_problems(asked), answer)


if __name__ == "__main__":
    main()
