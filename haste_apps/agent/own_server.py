"""The agent's own server: stores what was found, preprocesses it, and hands it to the upload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from haste_apps.agent.settings import AgentSettings
from haste_apps.embedded_server import EmbeddedServer, write_pipelines
from haste_core.errors import ConflictError
from haste_core.pipelines import Pipeline
from haste_runtime.locks import try_lock
from haste_workers.destination import Destination

PIPELINE = "agent"
ROOT = "acquisition"
"""The watched folder, as jobs call it."""

# As many as there may be: a server that is away for a week is no reason to give an image up.
_MOST_ATTEMPTS = 1000
_LONGEST_UPLOAD_S = 7 * 24 * 3600  # of a large file over a slow link
_RETRY_DELAY_S = 60.0
_SHUTDOWN_S = 3.0  # an upload that is cut off goes on at the next start where it was
_LEASE_S = 10.0


@contextmanager
def folder_claimed(settings: AgentSettings) -> Iterator[None]:
    """Keep others from sending the same folder to the same server while the block runs.

    Raises
    ------
    ConflictError
        If somebody does.
    """
    folder = settings.own_folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "agent.lock").open("a+b") as file:
        if not try_lock(file):
            raise ConflictError(
                f"another haste-agent sends {settings.path} to {settings.host}; end that one, or let it do "
                f"it (its data are in {folder})"
            )
        yield


class OwnServer(EmbeddedServer):
    """An embedded server with the agent's pipeline.

    Parameters
    ----------
    settings : AgentSettings
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        super().__init__(
            settings.own_folder / "server",
            roots={ROOT: settings.path.resolve()},
            settings=_server_settings(settings),
            whose="agent",
        )

    def wait_until_ready(self, pause: Callable[[float], object]) -> None:
        """Wait until it can work, and its workers can: an image that comes now is begun at once.

        Raises
        ------
        OwnServerError
            If it has ended, or has no workers in time.
        ServerUnreachableError
            If it takes too long.
        """
        super().wait_until_ready(pause)
        self.wait_for_workers(_slots(self._settings), pause)


def local_pipeline(settings: AgentSettings) -> Pipeline:
    """Make the pipeline that each image goes through here.

    Raises
    ------
    InvalidError
    """
    preprocess = (
        [] if settings.operator == "none" else [{"Task": {"task_key": "preprocess", "optional": True}}]
    )
    parameters: dict[str, Any] = {
        "upload": {
            "job": True,
            "stream_id": settings.stream_id,
            "tag": settings.tag,
            "timeout_s": _LONGEST_UPLOAD_S,
        }
    }
    if preprocess:
        chosen = {"operator": settings.operator, "codec": settings.codec, "effort": settings.effort}
        parameters["preprocess"] = {**settings.operator_parameters, **chosen}
    return Pipeline.parse(
        {
            "name": PIPELINE,
            "description": "Preprocess if there is time, then send to the lab's server",
            "tasks": {"taskSequential": [*preprocess, "upload"]},
            "parameters": parameters,
        }
    )


def local_stream_id(settings: AgentSettings) -> str:
    """Name the stream here: one for each pipeline, since a stream keeps that it was made with."""
    return f"{settings.stream_id}.{local_pipeline(settings).sha256[:8]}"


def _server_settings(settings: AgentSettings) -> dict[str, Any]:
    pipelines = write_pipelines([local_pipeline(settings)], settings.own_folder / "pipelines")
    return {
        "pipelines_dir": str(pipelines),
        "max_attempts": _MOST_ATTEMPTS,
        "max_lost": _MOST_ATTEMPTS,
        "max_retry_delay_s": _RETRY_DELAY_S,
        "shutdown_s": _SHUTDOWN_S,
        "lease_s": _LEASE_S,
        "log_level": settings.log_level,
        "destination": _destination(settings),
        **_sharing(settings),
    }


def _sharing(settings: AgentSettings) -> dict[str, Any]:
    """Say how the two kinds of tasks share this computer, and in which order they go."""
    slots = _slots(settings)
    return {"workers": 0, "slots": slots, "selectors": dict.fromkeys(slots, "edge")}


def _slots(settings: AgentSettings) -> dict[str, int]:
    return {"preprocess": settings.cores, "upload": settings.transfers}


def _destination(settings: AgentSettings) -> dict[str, Any]:
    token = settings.read_token()
    chosen = {
        "url": settings.host,
        "token": None if token is None else token.get_secret_value(),
        "ca_file": None if settings.ca_file is None else str(settings.ca_file),
        "proxy": settings.proxy,
        "bytes_per_s": settings.limit,
        "hours": settings.hours,
    }
    Destination.model_validate(chosen)
    return {name: value for name, value in chosen.items() if value is not None}
