"""The evaluator's child process: reads objects from stdin, writes decisions to stdout, as frames of JSON."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from haste_core.decisions import Decision, decide
from haste_core.interestingness import BUILT_IN, InterestingnessError, InterestingnessFunction, built_in
from haste_core.ports import Undecidable, Undecided
from haste_runtime.frames import FrameReader, write_frames
from haste_server.engine.evaluator import question, verdict


def build(function: str, parameters: Mapping[str, Any]) -> InterestingnessFunction:
    """Make the interestingness function of a name, or of ``module:callable`` in a pipeline file.

    Raises
    ------
    InterestingnessError
        If there is none, or it does not take these parameters.
    """
    if function in BUILT_IN:
        return built_in(function, parameters)
    try:
        made: InterestingnessFunction = _find(function)(**parameters)
    except (ImportError, AttributeError, TypeError) as error:
        raise InterestingnessError(f"interestingness function {function!r}: {error}") from error
    return made


def _find(function: str) -> Any:
    module, _, name = function.partition(":")
    if not name:
        raise ImportError(f"not one of {', '.join(sorted(BUILT_IN))}, nor module:callable")
    return getattr(importlib.import_module(module), name)


def evaluate(item: Undecided) -> Decision | Undecidable:
    """Score an object and choose its tier; say why if that cannot be done."""
    spec, policy = item.pipeline.interestingness, item.pipeline.policy
    if spec is None or policy is None:
        return Undecidable(f"the pipeline {item.pipeline.name!r} has no interestingness function and policy")
    try:
        return decide(item.scored, spec=spec, policy=policy, build=build)
    except InterestingnessError as error:
        return Undecidable(str(error))
    except Exception as error:
        return Undecidable(f"{spec.function} raised {type(error).__name__}: {error}")


def main() -> None:
    """Answer until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which then closes our stdin
    # What a user's function prints must not get between the frames.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        reader = FrameReader(sys.stdin.buffer)
        while frames := reader.read():
            decided = [evaluate(question.validate_json(frame)) for frame in frames]
            write_frames(answers, [verdict.dump_json(item) for item in decided])


if __name__ == "__main__":
    main()
