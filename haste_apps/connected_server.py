"""A server of a notebook's or a test's own, in one line, with a client of it."""

from __future__ import annotations

import atexit
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from haste_apps.embedded_server import EmbeddedServer, write_pipelines
from haste_client import HasteClient, notebooks
from haste_client.answers import StreamAnswer
from haste_core.errors import ConflictError, HasteError, InvalidError, Problem
from haste_core.pipelines import Pipeline
from haste_server.settings import ServerSettings

_PIPELINES = "pipelines"
_AWAITED = ("focus-score",)  # its workers take all keys alike, so that one of them stands for all
_SAID_HERE = {"data_dir", "host", "pipelines_dir", "port", "roots", "token", "token_file", "url_file"}


def embedded(
    data_dir: str | Path | None = None,
    *,
    roots: Mapping[str, str | Path] | None = None,
    workers: int | None = None,
    pipelines: str | Path | Iterable[Mapping[str, Any] | Pipeline] = (),
    **settings: Any,
) -> ConnectedServer:
    """Make a server of your own, with its workers and a client, for as long as a block of code runs.

    It needs no RabbitMQ and no database server, listens on a free port of this machine, and is shown a
    random token. Settings of another server in the environment (``HASTE_…``) do not count.

    Parameters
    ----------
    data_dir : path, optional
        Where it keeps its database, its tiers and what is uploaded; it goes on with what is there. Default: a
        temporary folder, which is removed at the end, unless images were moved into its tiers.
    roots : mapping of str to path, optional
        The folders that it may read, by name. Default: your home folder and the present one.
    workers : int, optional
        How many tasks are run at once. Default: as many as there are cores.
    pipelines : path, or iterable of mapping
        Pipelines beside those that come with the server: a folder of YAML files, or what would stand in one.
    **settings
        More of the server's settings, by the names that its YAML file uses, for example
        ``handlers={"count-spots": "spots:count_spots"}``.

    Returns
    -------
    ConnectedServer
        To be used in a ``with`` block, or with `ConnectedServer.start` in one cell of a notebook and
        `ConnectedServer.stop` in another.

    Raises
    ------
    InvalidError
        If a pipeline is wrong, or there is no such setting.

    Examples
    --------
    >>> import haste_apps
    >>> with haste_apps.embedded() as haste:  # doctest: +SKIP
    ...     results = haste.client.submit_directory("plate7").wait().results()
    """
    told = {name: value for name, value in {**settings, "workers": workers}.items() if value is not None}
    _refuse_unknown(told)
    own: tuple[Pipeline, ...] = ()
    if isinstance(pipelines, str | Path):
        told["pipelines_dir"] = str(Path(pipelines).resolve())
    else:
        own = tuple(one if isinstance(one, Pipeline) else Pipeline.parse(one) for one in pipelines)
    named = _usual_roots() if roots is None else {name: Path(path).resolve() for name, path in roots.items()}
    folder = None if data_dir is None else Path(data_dir).resolve()
    return ConnectedServer(folder, roots=named, pipelines=own, settings=told)


def _refuse_unknown(settings: Mapping[str, Any]) -> None:
    """Find what is misspelt, or is `embedded`'s own to say, before anything is started."""
    known = ServerSettings.model_fields.keys() - _SAID_HERE
    unfit = sorted(settings.keys() - known)
    if unfit:
        own, unknown = "is set by embedded() itself", "the server has no such setting"
        raise InvalidError([Problem(name, own if name in _SAID_HERE else unknown) for name in unfit])


def _usual_roots() -> dict[str, Path]:
    home, here = Path.home().resolve(), Path.cwd()
    return {"home": home} if here.is_relative_to(home) else {"home": home, "here": here}


class ConnectedServer(EmbeddedServer):
    """An embedded server that can work as soon as it is started, with a client; made by `embedded`.

    Parameters
    ----------
    data_dir : Path, optional
        None: a temporary folder.
    roots : mapping of str to Path
    pipelines : tuple of Pipeline
        To be offered beside those of its other settings.
    settings : mapping of str

    Attributes
    ----------
    data_dir : Path
        Where it keeps its data.
    """

    def __init__(
        self,
        data_dir: Path | None,
        *,
        roots: Mapping[str, Path],
        pipelines: tuple[Pipeline, ...],
        settings: Mapping[str, Any],
    ) -> None:
        self._is_temporary = data_dir is None
        folder = data_dir or Path(tempfile.gettempdir()).resolve() / f"haste-{secrets.token_hex(8)}"
        self._pipelines = pipelines
        if pipelines:
            settings = {**settings, "pipelines_dir": str(folder / _PIPELINES)}
        self._has_workers = settings.get("workers") != 0
        super().__init__(folder, roots=roots, settings=settings, whose="program")
        self._client: HasteClient | None = None

    @property
    def client(self) -> HasteClient:
        """The client of the server while it runs.

        Raises
        ------
        ConflictError
            If it was not started, or has been stopped.
        """
        if self._client is None:
            raise ConflictError("the embedded server does not run: start() it, or use it in a with block")
        return self._client

    def _repr_html_(self) -> str:
        page = None if self._client is None else notebooks.link(self.page, self.url)
        state = "stopped" if page is None else "runs"
        return notebooks.card("Embedded server", {"state": state, "pages": page, "data": str(self.data_dir)})

    def start(self) -> Self:
        """Start the server, wait until it and its workers can work, and connect the client.

        Raises
        ------
        ConflictError
            If it runs already.
        OwnServerError
            If it ends, or its workers do not come, with the last lines of its log.
        ServerUnreachableError
            If it takes too long.
        """
        if self._client is not None:
            raise ConflictError(f"the embedded server runs already, at {self.url}")
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        atexit.register(self.stop)  # by a notebook that ends without a word
        try:
            if self._pipelines:
                write_pipelines(self._pipelines, self.data_dir / _PIPELINES)
            super().start()
            self.wait_until_ready(time.sleep)
            self._client = self.connect()
        except BaseException:
            self.stop()
            raise
        return self

    def wait_until_ready(self, pause: Callable[[float], object]) -> None:
        """Wait until it can work, and its workers can; see `EmbeddedServer.wait_until_ready`."""
        super().wait_until_ready(pause)
        if self._has_workers:
            self.wait_for_workers(_AWAITED, pause)

    def stop(self) -> None:
        """Let running tasks end, stop the server, and remove its data if they are temporary.

        A temporary folder that images were moved into is kept, and a warning says where it is.
        """
        atexit.unregister(self.stop)
        holds_originals = self._is_temporary and self._client is not None and may_hold_originals(self._client)
        if self._client is not None:
            self._client.close()
            self._client = None
        super().stop()
        if holds_originals:
            self._is_temporary = False
            reason = "images were moved into it, or it could not be asked whether they were"
            warnings.warn(f"{self.data_dir} is kept: {reason}", stacklevel=2)
        elif self._is_temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)


def may_hold_originals(client: HasteClient) -> bool:
    """Tell whether an original may be in the server's tiers only; if it cannot be asked, it may."""
    try:
        if any(_removes_originals(stream) for stream in client.streams()):
            return True
        return any(job.place is not None and job.place.moved for job in client.jobs())
    except HasteError:
        return True


def _removes_originals(stream: StreamAnswer) -> bool:
    # One that observes since just now may have a task at work that removes.
    works = stream.mode == "enforce" or stream.progress.open > 0
    return works and bool((stream.pipeline.policy or {}).get("move"))
