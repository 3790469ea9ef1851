"""`haste simulate`: the simulated microscope as a program."""

from __future__ import annotations

from pathlib import Path

from haste_apps.demo.interruption import end_with_parent
from haste_apps.output import print_json, say
from haste_apps.simulate import Kind, SimulatedImage, simulate
from haste_client.progress import progress_bar


def run_simulation(
    directory: Path,
    *,
    kind: Kind,
    count: int,
    rate_hz: float,
    seed: int,
    as_json: bool,
    parent_pid: int | None = None,
) -> None:
    """Write images into a folder, with a progress bar on stderr; see `haste_apps.simulate.simulate`.

    With `parent_pid`, the number of the process that started this one, it ends when that is gone.
    """
    end_with_parent(parent_pid)
    with progress_bar("writing", total=count, shown=True) as bar:

        def report(image: SimulatedImage) -> None:
            bar.advance(1)
            if as_json:
                print_json({"file": image.file, "defocus_um": image.defocus_um, "empty": image.empty})

        simulate(directory, kind=kind, count=count, rate_hz=rate_hz, seed=seed, on_image=report)
    say(f"{count} images in {directory}")
