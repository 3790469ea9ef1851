"""The server's own workers: programs that it starts, and tells what it wants them to know."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, cast

from haste_core.pipelines import Pipeline
from haste_core.tokens import work_token_of
from haste_runtime.tiers import said_openly
from haste_server.catalogue import named_tiers
from haste_server.gateway.landing import ROOT_NAME as LANDING_ROOT
from haste_server.processes.children import ChildProcess
from haste_server.processes.environment import environment_of_workers
from haste_server.settings import DEFAULT_LEASE_S, ServerSettings


class Attach(Protocol):
    """Takes a worker that has begun."""

    def __call__(self, reader: BinaryIO, writer: BinaryIO, *, name: str) -> None:
        """Serve the worker at the other end of these pipes; returns at once."""


@dataclass(frozen=True)
class OwnWorkers:
    """The programs that do a server's tasks, as its settings describe them.

    Attributes
    ----------
    settings : ServerSettings
    pipelines : mapping of str to Pipeline
    token : str, optional
        The server's; workers get one that is made from it.
    url : str
        Of the server.
    """

    settings: ServerSettings
    pipelines: Mapping[str, Pipeline]
    token: str | None = field(repr=False)
    url: str

    def programs(self, attach: Attach) -> list[ChildProcess]:
        """Make a program for each key with slots of its own, and one for all other keys."""
        own = self.settings.slots
        made = [
            self._program(attach, f"workers for {key}", {"KEYS": key, "CONCURRENCY": str(slots)})
            for key, slots in own.items()
        ]
        if self.settings.workers:
            others = {"CONCURRENCY": str(self.settings.workers), "WITHOUT_KEYS": ",".join(own)}
            made.append(self._program(attach, "workers", others))
        return made

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Tell workers their settings; the database is none of their business."""
        told = {**more, **self._places(), **self._manners()}
        return environment_of_workers() | {f"HASTE_{name}": value for name, value in told.items()}

    def _program(self, attach: Attach, name: str, told: Mapping[str, str]) -> ChildProcess:
        def on_start(process: subprocess.Popen[bytes]) -> None:
            reader, writer = cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin)
            attach(reader, writer, name=f"worker {process.pid}")

        command = [sys.executable, "-m", "haste_workers.cli", "--pipe"]
        if self.settings.worker_config is not None:
            command += ["--config", str(self.settings.worker_config)]
        return ChildProcess(
            name=name,
            command=command,
            environment=self.environment(told),
            with_pipes=True,
            on_start=on_start,
        )

    def _places(self) -> dict[str, str]:
        """Tell where the server and the data are; make the folders of tiers that nobody has made."""
        settings, named = self.settings, named_tiers(self.pipelines)
        roots = {**settings.readable_roots, LANDING_ROOT: settings.landing}
        tiers = {name: tier.model_dump() for name, tier in settings.all_tiers(named).items()}
        for folder in settings.own_tier_folders(named):
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "SERVER_URL": self.url,
            "SITE": settings.site,
            "WORK_DIR": str(settings.data_dir / "work"),
            "ROOTS": json.dumps({name: str(folder) for name, folder in roots.items()}),
            "TIERS": json.dumps(tiers, default=said_openly),
        }

    def _manners(self) -> dict[str, str]:
        """Tell what to do, and how."""
        settings = self.settings
        return {
            "HANDLERS": json.dumps(settings.handlers),
            "LOG_LEVEL": settings.log_level,
            # The worker's own default is too slow for a shorter lease: those of running tasks would end.
            **({} if settings.lease_s >= DEFAULT_LEASE_S else {"HEARTBEAT_S": str(settings.lease_s / 6)}),
            **({} if self.token is None else {"TOKEN": work_token_of(self.token)}),
        }
