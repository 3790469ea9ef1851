"""Handlers of a user's own, as DANE's users would write them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haste_core.errors import BadInputError


def download(job: Mapping[str, Any], task: Any, context: Any) -> dict[str, Any]:
    """Say what kind of file it is, and count the runs."""
    return {"file_type": "Video", "runs": _count_runs(context)}


def asr(job: Mapping[str, Any], task: Any, context: Any) -> dict[str, Any]:
    """Use the answer of the task before; refuse while the job's switch is there."""
    runs = _count_runs(context)
    if Path(job["metadata"]["switch"]).exists():
        raise BadInputError("the sound cannot be read")
    return {"heard": job["response"]["download"]["file_type"], "lang": job["metadata"]["lang"], "runs": runs}


def shot(job: Mapping[str, Any], task: Any, context: Any) -> dict[str, Any]:
    """Say how many shots there are, beside `asr`."""
    return {"shots": 3}


def _count_runs(context: Any) -> int:
    counter: Path = context.output_dir / "runs"
    runs = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(runs))
    return runs
