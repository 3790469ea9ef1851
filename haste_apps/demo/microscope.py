"""The simulated microscope as a program of its own, as a real one's is."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from haste_apps.demo.verdict import Truth
from haste_core.errors import HasteError

KIND = "empty-mix"  # cells at known defocus, and some fields without any


class MicroscopeError(HasteError):
    """The simulated microscope has failed."""


class Microscope:
    """Runs `haste simulate`, from its start to the end of a block of code at the latest.

    Parameters
    ----------
    directory : Path
        Where it writes its images.
    count : int
    rate_hz : float
        Images per second.
    seed : int
        Equal seeds give equal images.
    """

    def __init__(self, directory: Path, *, count: int, rate_hz: float, seed: int) -> None:
        self.directory = directory
        options = {
            "--count": count,
            "--rate": rate_hz,
            "--seed": seed,
            "--kind": KIND,
            "--parent": os.getpid(),
        }
        self._arguments = [str(part) for option in options.items() for part in option]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Let it begin to write."""
        program = [sys.executable, "-m", "haste_apps.cli", "simulate", str(self.directory), *self._arguments]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches us only, so that its end is no failure
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()

    @property
    def finished(self) -> bool:
        """True once it has written its last image."""
        return self._process is not None and self._process.poll() == 0

    def check(self) -> None:
        """Raise MicroscopeError, with what it said, if it has failed."""
        if self._process is None or not self._process.poll():
            return
        _, said = self._process.communicate()
        raise MicroscopeError(
            f"the simulated microscope ended with code {self._process.returncode}: "
            f"{said.decode(errors='replace')}"
        )


def read_truth(directory: Path) -> dict[str, Truth]:
    """Read what each image really shows, by its path below the folder."""
    from haste_apps.simulate import TRUTH_NAME

    with (directory / TRUTH_NAME).open(newline="", encoding="utf-8") as file:
        return {
            row["file"]: Truth(defocus_um=float(row["defocus_um"] or 0), empty=row["empty"] == "1")
            for row in csv.DictReader(file)
        }
