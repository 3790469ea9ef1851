"""A handler that tells each of its runs and ends when it is told to."""

import time
from pathlib import Path


def hold(job, task, context):
    folder = Path(job["metadata"]["folder"])
    with (folder / "runs").open("a") as runs:
        runs.write(f"{task.attempt}\n")
    while not (folder / "go").exists():
        time.sleep(0.02)
    return {}
