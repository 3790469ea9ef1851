"""HasteClient: everything that a HASTE server offers, as Python methods."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack
from urllib.parse import quote

from haste_client.answers import (
    BulkAnswer,
    JobAnswer,
    Place,
    PriorityAnswer,
    TaskAnswer,
)
from haste_client.audits import AuditCalls
from haste_client.bulk_actions import BulkActionAnswer, TaskChoice, act_on_many
from haste_client.connection import Connection
from haste_client.deciding import DecisionCalls
from haste_client.directory import Selection, scan, stream_id_for
from haste_client.events import EventCalls
from haste_client.liveness import LivenessCalls
from haste_client.naming import Naming
from haste_client.priorities import PriorityFunction
from haste_client.settings import load_settings
from haste_client.streams import StreamCalls
from haste_client.submission import Submission
from haste_client.tokens import TokenCalls
from haste_client.trashes import TrashCalls
from haste_core.errors import InvalidError, Problem
from haste_core.routing import DEFAULT_SITE

BULK_LIMIT = 1000
_STATE_WORDS = ("open", "done", "failed")
_PAGE = 1000


class HasteClient(StreamCalls, DecisionCalls, EventCalls, TrashCalls, TokenCalls, AuditCalls, LivenessCalls):
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
        """Make or join a stream, to `Submission.add` images to it as they come; see `submit_directory`."""
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

    # Jobs

    def submit_job(self, spec: Mapping[str, Any]) -> JobAnswer:
        """Submit one job spec; answers with the job that is there if the object was submitted before."""
        return JobAnswer.model_validate(self._connection.post("/HASTE/job/", dict(spec)))

    def submit_jobs(self, specs: Sequence[Mapping[str, Any]]) -> list[BulkAnswer]:
        """Submit many job specs; each is accepted or refused on its own."""
        answers: list[BulkAnswer] = []
        for start in range(0, len(specs), BULK_LIMIT):
            part = [dict(spec) for spec in specs[start : start + BULK_LIMIT]]
            answer = self._connection.post("/HASTE/jobs/", {"jobs": part})
            answers += [BulkAnswer.model_validate(item) for item in answer["results"]]
        return answers

    def job(self, job_id: int) -> JobAnswer:
        """Fetch one job with the present states of its tasks."""
        return JobAnswer.model_validate(self._connection.get(f"/HASTE/job/{job_id}"))

    def jobs(
        self,
        *,
        stream_id: str | None = None,
        state: str | int | None = None,
        source_id: str | None = None,
        ended_since: float | None = None,
    ) -> Iterator[JobAnswer]:
        """Go through jobs, page by page.

        Parameters
        ----------
        stream_id, source_id : str, optional
        state : {"open", "done", "failed"} or int, optional
            A word, or one code.
        ended_since : float, optional
            Only jobs that ended at or after this time (seconds since 1970), in the order of their ends.

        Raises
        ------
        InvalidError
            If `state` is another word.
        """
        if isinstance(state, str) and state not in _STATE_WORDS and not state.isdecimal():
            words = ", ".join(_STATE_WORDS)
            raise InvalidError([Problem("state", f"{state!r} is none of {words}, nor a code such as 502")])
        wanted = {"stream_id": stream_id, "state": state, "source_id": source_id, "ended_since": ended_since}
        for job in self._connection.pages("/HASTE/jobs/", "jobs", params=wanted, limit=_PAGE):
            yield JobAnswer.model_validate(job)

    def jobs_in_progress(self) -> Iterator[int]:
        """Go through the ids of all open jobs."""
        return self._connection.pages("/HASTE/job/inprogress", "jobs", limit=_PAGE)

    def search(self, source_id: str) -> Iterator[int]:
        """Go through the ids of all jobs of one object, in any stream."""
        return self._connection.pages(f"/HASTE/search/{quote(source_id)}", "jobs", limit=_PAGE)

    def retry_job(self, job_id: int) -> JobAnswer:
        """Run the failed tasks of a job again; raises ConflictError if there are none."""
        return JobAnswer.model_validate(self._connection.post_at_most_once(f"/HASTE/job/{job_id}/retry"))

    def cancel_job(self, job_id: int) -> JobAnswer:
        """End all tasks of a job that are open; raises ConflictError if it has ended."""
        return JobAnswer.model_validate(self._connection.post(f"/HASTE/job/{job_id}/cancel"))

    def retry_jobs(
        self,
        job_ids: Sequence[int] | None = None,
        **chosen_by: Unpack[TaskChoice],
    ) -> BulkActionAnswer:
        """Run the failed tasks of many jobs again: by their numbers, or of those that have such tasks.

        The state is "open", "done", "failed" or a code; by default that of all that can be retried.
        """
        return act_on_many(
            self._connection.post_at_most_once, "/HASTE/jobs/retry", "job_ids", job_ids, chosen_by
        )

    def cancel_jobs(
        self,
        job_ids: Sequence[int] | None = None,
        **chosen_by: Unpack[TaskChoice],
    ) -> BulkActionAnswer:
        """End what is open of many jobs, by their numbers or by their tasks; see `retry_jobs`."""
        return act_on_many(self._connection.post, "/HASTE/jobs/cancel", "job_ids", job_ids, chosen_by)

    def delete_job(self, job_id: int) -> None:
        """Cancel a job and forget it."""
        self._connection.delete(f"/HASTE/job/{job_id}")

    def set_priorities(self, priorities: Mapping[int, float]) -> PriorityAnswer:
        """Change the priorities of at most 10,000 jobs; raises NotFoundError if none of them is there."""
        body = {str(job_id): priority for job_id, priority in priorities.items()}
        return PriorityAnswer.model_validate(self._connection.patch("/HASTE/priority", body))

    def set_priorities_by_index(self, stream_id: str, priorities: Mapping[int, float]) -> PriorityAnswer:
        """Change the priorities of a stream's jobs by the images' numbers."""
        numbered = {str(index): priority for index, priority in priorities.items()}
        body = {"stream_id": stream_id, "priorities": numbered}
        return PriorityAnswer.model_validate(self._connection.patch("/HASTE/priority", body))

    # Tasks

    def task(self, task_id: int) -> TaskAnswer:
        """Fetch one task, with its attempts."""
        return TaskAnswer.model_validate(self._connection.get(f"/HASTE/task/{task_id}")["Task"])

    def retry_task(self, task_id: int, *, force: bool = False) -> TaskAnswer:
        """Run a failed task again; with `force` whatever its state is."""
        path = f"/HASTE/task/{task_id}/{'forceretry' if force else 'retry'}"
        return TaskAnswer.model_validate(self._connection.post_at_most_once(path)["Task"])

    def reset_task(self, task_id: int) -> TaskAnswer:
        """Take a task back to its beginning; it waits there until somebody asks for a retry."""
        return TaskAnswer.model_validate(self._connection.post(f"/HASTE/task/{task_id}/reset")["Task"])

    def retry_tasks(
        self,
        task_ids: Sequence[int] | None = None,
        *,
        force: bool = False,
        **chosen_by: Unpack[TaskChoice],
    ) -> BulkActionAnswer:
        """Run many tasks again, chosen as in `retry_jobs`; with `force` a choice must name their state."""
        path = f"/HASTE/tasks/{'forceretry' if force else 'retry'}"
        return act_on_many(self._connection.post_at_most_once, path, "task_ids", task_ids, chosen_by)

    def reset_tasks(
        self,
        task_ids: Sequence[int] | None = None,
        **chosen_by: Unpack[TaskChoice],
    ) -> BulkActionAnswer:
        """Take many tasks back to their beginning; a choice that is not by numbers must name a state."""
        return act_on_many(self._connection.post, "/HASTE/tasks/reset", "task_ids", task_ids, chosen_by)

    def set_task_priorities(self, priorities: Mapping[int, float | None]) -> PriorityAnswer:
        """Give tasks priorities of their own, at most 10,000 at once; None: their job's again."""
        body = {"tasks": {str(task_id): priority for task_id, priority in priorities.items()}}
        return PriorityAnswer.model_validate(self._connection.patch("/HASTE/priority", body))

    # The server

    def upload_file(self, stream_id: str, name: str, path: Path) -> Place:
        """Send a file to the server's landing area, checked by its SHA-256; returns where it is there."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        said = {"stream_id": stream_id, "filename": name, "sha256": sha256, "job": "no"}
        place = self._connection.send_file(path, metadata=said).place
        assert place is not None  # no job was asked for, so it is where it was sent to
        return Place.model_validate(place.model_dump(exclude_none=True))
