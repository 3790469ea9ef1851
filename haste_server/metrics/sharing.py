"""Counts of all processes of a server, each told by its process in a file, summed by whoever is asked."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from haste_server.metrics.counts import Counts
from haste_server.processes.claims import write_atomically

logger = logging.getLogger(__name__)

TELL_EVERY_S = 2.0
_SUFFIX = ".prom"


class SharedCounts:
    """The counts of this process, and of those that share a folder with it.

    What a process told stays after its end, until `forget`: sums never go down while the server runs, or
    Prometheus would take that for a new start from zero.

    Parameters
    ----------
    counts : Counts
        Of this process.
    folder : Path, optional
        None where there is one process only.
    """

    def __init__(self, counts: Counts, folder: Path | None = None) -> None:
        self.counts = counts
        self._folder = folder
        # Not by its number alone: numbers come again.
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._told = False
        self._trouble = ""
        self._thread = threading.Thread(target=self._tell_often, name="counts", daemon=True)

    def start(self) -> None:
        """Begin to tell the others."""
        if self._folder is not None:
            self._thread.start()

    def stop(self) -> None:
        """Tell the last, and end."""
        if self._folder is not None:
            self._stopping.set()
            self._thread.join()
            self._tell()

    def families(self) -> list[Metric]:
        """Return what all processes have counted."""
        if self._folder is None:
            return _summed([self._own_text()])
        # Told before it is read: no process may show less than another did, who reads this one's file.
        self._tell()
        told = [_read(file) for file in sorted(self._folder.glob(f"*{_SUFFIX}"))]
        is_zero = not self._told and not self.counts.changed.is_set()
        return _summed([*told, self._own_text()] if is_zero else told)

    def _tell_often(self) -> None:
        while not self._stopping.wait(TELL_EVERY_S):
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            if not self.counts.changed.is_set():
                return
            self.counts.changed.clear()
            try:
                self._write()
                self._told = True
                self._trouble = ""
            except OSError as error:  # a full disk; it is tried again
                self.counts.changed.set()
                if self._trouble != str(error):
                    logger.warning("counts cannot be told: %s", error, extra={"action": "counts_untold"})
                self._trouble = str(error)

    def _write(self) -> None:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / self._name, self._own_text().encode())

    def _own_text(self) -> str:
        return generate_latest(self.counts.registry).decode()


def forget(folder: Path) -> None:
    """Remove what the processes of an earlier server have told."""
    for file in folder.glob(f"*{_SUFFIX}"):
        file.unlink(missing_ok=True)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        logger.warning("unreadable counts: %s", error, extra={"action": "counts_unreadable"})
        return ""


def _summed(texts: Iterable[str]) -> list[Metric]:
    families: dict[str, Metric] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            if family.name.endswith("_created"):  # when a process counted something first is nobody's concern
                continue
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            of_family = sums.setdefault(family.name, {})
            for sample in family.samples:
                place = (sample.name, tuple(sample.labels.items()))
                of_family[place] = of_family.get(place, 0.0) + sample.value
    for name, family in families.items():
        for (series, labels), value in sums[name].items():
            family.add_sample(series, dict(labels), value)
    return list(families.values())
