"""HasteClient: everything that a HASTE server offers, as Python methods."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from haste_client.answers import Place
from haste_client.audits import AuditCalls
from haste_client.connection import Connection
from haste_client.deciding import DecisionCalls
from haste_client.directory import Selection, scan, stream_id_for
from haste_client.events import EventCalls
from haste_client.jobs import JobCalls
from haste_client.liveness import LivenessCalls
from haste_client.naming import Naming
from haste_client.priorities import PriorityFunction
from haste_client.settings import load_settings
from haste_client.streams import StreamCalls
from haste_client.submission import Submission
from haste_client.tasks import TaskCalls
from haste_client.tokens import TokenCalls
from haste_client.trashes import TrashCalls
from haste_core.routing import DEFAULT_SITE


class HasteClient(
    StreamCalls,
    JobCalls,
    TaskCalls,
    DecisionCalls,
    EventCalls,
    TrashCalls,
    TokenCalls,
    AuditCalls,
    LivenessCalls,
):
    """Talks with one HASTE server.

    Parameters
    ----------
    url : str, optional
        The server's address. Default: ``HASTE_SERVER_URL``, the client's YAML file, else this machine.
    token : str, optional
        Default: ``HASTE_TOKEN`` or the YAML file.
    roots : mapping of str to path, optional
        Local folders by the names under which the server's workers know them.
    retry_for_s : float
        How long each call goes on trying while the server is unreachable or has an outage.

    Raises
    ------
    InvalidError
        If a setting is wrong. All methods raise InvalidError, NotFoundError, ConflictError,
        AccessDeniedError, ServerUnreachableError or OutageError (both TransientError) where these apply;
        those that retry jobs or tasks, OutcomeUnknownError if the answer was lost.

    Examples
    --------
    >>> with HasteClient("http://127.0.0.1:5510") as client:  # doctest: +SKIP
    ...     submission = client.submit_directory("plate7", pipeline="focus-tier", progress=True)
    ...     sharp = [result for result in submission.wait().results() if result.tier == "tierA"]
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        roots: Mapping[str, str | Path] | None = None,
        *,
        retry_for_s: float = 15.0,
    ) -> None:
        settings = load_settings(url=url, token=token, roots=roots)
        self.roots = settings.local_roots()
        self.sidecars = settings.sidecars
        secret = settings.token.get_secret_value() if settings.token else None
        self._connection = Connection(settings.server_url, token=secret, retry_for_s=retry_for_s)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._connection.url

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Folders

    def submit_directory(
        self,
        path: str | Path,
        *,
        stream_id: str | None = None,
        pipeline: str = "focus-tier",
        pattern: str | None = None,
        recursive: bool = True,
        priority: float | PriorityFunction = 1.0,
        mode: str | None = None,
        site: str = DEFAULT_SITE,
        index_from: int | None = None,
        names: str | None = None,
        unparsed: str = "stop",
        complete: bool = False,
        progress: bool = False,
    ) -> Submission:
        """Submit the images of a folder as jobs of one stream.

        What was submitted before and has not changed since is not sent again, so that this may be
        repeated as often as one likes. One bad image does not stop the others: see `Submission.problems`.

        Parameters
        ----------
        path : path
            The folder.
        stream_id : str, optional
            Default: the folder's name, made valid. The stream is made, or joined if it is there; see
            `Submission.namesakes` for folders of one name.
        pipeline : str
            What happens to the images.
        pattern : str, optional
            A glob for the names, for example ``*_DAPI.tif``. Default: those of
            image files (`haste_client.directory.IMAGE_SUFFIXES`), in any case.
        recursive : bool
            Take sub-folders, too.
        priority : float or callable
            The higher, the earlier. A callable ``(image: ImageView, known: Known) -> float`` is asked for
            each image as it is found, and again while `Submission.add`, `Submission.refresh` or
            `Submission.wait` learn of more images and results; what has changed is sent.
        mode : {"observe", "enforce"}, optional
            Whether the stream only records what it would do with each image, or does it. Default: a new
            stream observes, one that is there keeps its mode.
        site : str
            Where the workers are that can reach the files.
        index_from : int, optional
            Number of the first new image. Default: the number of images that the stream has.
        names : str, optional
            How the files are named: a preset such as ``imagexpress``, a YAML file, or a regular expression
            with groups. What they say becomes the jobs' metadata; see `Submission.named`.
        unparsed : {"stop", "skip", "include"}
            What becomes of images whose names say nothing, or the same as another one's.
        complete : bool
            Complete the stream, if all images became jobs: no more come; see `complete_stream`.
        progress : bool
            Show progress on stderr.

        Raises
        ------
        OSError
            If the folder cannot be read.
        ConflictError
            If the stream is there with another pipeline or mode.
        UnparsedNamesError
            If there are such names and they are to stop all; nothing was submitted.
        """
        folder = Path(path).resolve()
        naming = Naming(names, unparsed, folder)
        found = scan(folder, Selection(pattern, recursive, self.sidecars))
        named = naming.choose(found.files)
        naming.check(named)
        submission = self.open_submission(
            stream_id or stream_id_for(folder),
            pipeline=pipeline,
            mode=mode,
            site=site,
            priority=priority,
            index_from=index_from,
            progress=progress,
        )
        submission.named = None if names is None else named
        submission.report(found.unreadable)
        submission.add(named.files)
        if complete and not submission.problems:
            self.complete_stream(submission.stream_id)
        return submission

    def open_submission(
        self,
        stream_id: str,
        *,
        pipeline: str = "focus-tier",
        mode: str | None = None,
        site: str = DEFAULT_SITE,
        priority: float | PriorityFunction = 1.0,
        index_from: int | None = None,
        progress: bool = False,
    ) -> Submission:
        """Make or join a stream, to add images to it as they come, by `Submission.add`.

        Parameters
        ----------
        stream_id : str
        pipeline, mode, site, priority, index_from, progress
            As of `submit_directory`.

        Returns
        -------
        Submission
            Without images yet.

        Raises
        ------
        ConflictError
            If the stream is there with another pipeline or mode.
        """
        stream = self.create_stream(stream_id, pipeline=pipeline, mode=mode)
        return Submission(
            self,
            stream,
            roots=self.roots,
            site=site,
            priority=priority,
            index_from=index_from,
            show_progress=progress,
        )

    # The server

    def upload_file(self, stream_id: str, name: str, path: Path) -> Place:
        """Send a file to the server's landing area, checked by its SHA-256.

        Parameters
        ----------
        stream_id : str
        name : str
            As what it is stored.
        path : Path
            The file.

        Returns
        -------
        Place
            Where it is there; its ``url`` may be the ``source_url`` of a job.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        said = {"stream_id": stream_id, "filename": name, "sha256": sha256, "job": "no"}
        place = self._connection.send_file(path, metadata=said).place
        assert place is not None  # no job was asked for, so it is where it was sent to
        return Place.model_validate(place.model_dump(exclude_none=True))
