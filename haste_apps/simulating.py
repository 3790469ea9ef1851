"""`haste simulate`: the simulated microscope as a program."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

from haste_apps.interruption import Interruption
from haste_apps.output import print_json, say
from haste_apps.simulate import Kind, SimulatedImage, simulate
from haste_client.progress import progress_bar
from haste_runtime.parents import is_orphaned

_LOOK_S = 1.0  # how often it is asked whether the parent lives


def run_simulation(
    directory: Path,
    *,
    kind: Kind,
    count: int,
    rate_hz: float,
    size_px: int | None,
    seed: int,
    as_json: bool,
    interruption: Interruption,
    parent_pid: int | None = None,
) -> None:
    """Write images into a folder, with a progress bar on stderr; see `haste_apps.simulate.simulate`.

    With `parent_pid`, the number of the process that started this one, it ends when that is gone.
    """
    _end_with_parent(parent_pid)
    with progress_bar("writing", total=count, shown=True) as bar:

        def report(image: SimulatedImage) -> None:
            interruption.check()
            bar.advance(1)
            if as_json:
                print_json({"file": image.file, "defocus_um": image.defocus_um, "empty": image.empty})

        simulate(
            directory,
            kind=kind,
            count=count,
            rate_hz=rate_hz,
            seed=seed,
            size_px=None if size_px is None else (size_px, size_px),
            on_image=report,
            pause=interruption.pause,
        )
    say(f"{count} images in {directory}")


def _end_with_parent(parent_pid: int | None) -> None:
    """End this process soon after its parent is gone; it may be in the middle of anything."""

    def watch() -> None:
        while not is_orphaned(parent_pid):
            time.sleep(_LOOK_S)
        signal.raise_signal(signal.SIGTERM)

    if parent_pid is not None:
        threading.Thread(target=watch, name="parent watch", daemon=True).start()
