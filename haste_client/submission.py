"""The images of one folder on their way through a stream: submitted, followed, prioritised."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from haste_client.answers import BulkAnswer, JobAnswer, StreamAnswer
from haste_client.connection import problems_of
from haste_client.directory import ImageFile
from haste_client.following import EndedJobs
from haste_client.holdups import Holdups
from haste_client.job_service import JobService
from haste_client.naming import NamedFiles, spec_fields
from haste_client.priorities import ImageView, Prioritiser, PriorityFunction
from haste_client.progress import progress_bar
from haste_client.results import Result, Results
from haste_client.totals import SubmissionProgress, submission_html
from haste_client.versions import SourceVersions, origin_in
from haste_core.errors import NotFoundError, Problem
from haste_core.image_sets import lacking
from haste_core.routing import Roots
from haste_core.states import TaskState

logger = logging.getLogger(__name__)

BULK_SIZE = 500
PRIORITIES_PER_CALL = 10_000
OUTAGE_S = 300.0
DELETED = "its job was deleted at the server before it had ended"

_SHORTEST_POLL_S, _LONGEST_POLL_S = 0.2, 2.0

Item = TypeVar("Item")


class Submission:
    """The jobs of one folder's images.

    Made by `HasteClient.submit_directory` and `HasteClient.open_submission`.

    Parameters
    ----------
    service : JobService
        The server.
    stream : StreamAnswer
        The stream that the images belong to; its pipeline's tasks become theirs.
    roots : Roots
        Names of local folders.
    site : str
        Where the files can be reached.
    priority : float or callable
        Of the jobs; a callable ``(ImageView, Known) -> float`` is asked again as results arrive.
    index_from : int, optional
        Number of the next image; by default the number of images that the stream has.
    show_progress : bool
        Show progress on stderr.

    Attributes
    ----------
    named : NamedFiles, optional
        What came of the names of the folder's files, where `HasteClient.submit_directory` has read them.
    new_jobs : int
        Images that were not known before.
    """

    def __init__(
        self,
        service: JobService,
        stream: StreamAnswer,
        *,
        roots: Roots,
        site: str,
        priority: float | PriorityFunction = 1.0,
        index_from: int | None = None,
        show_progress: bool = False,
    ) -> None:
        self.stream_id = stream.stream_id
        self._was_complete = stream.completed_at is not None
        self._service = service
        self._tasks = stream.pipeline.tasks
        self._roots = roots
        self._site = site
        self._show_progress = show_progress
        self._prioritiser = Prioritiser(priority) if callable(priority) else None
        self._fixed_priority = 1.0 if callable(priority) else float(priority)
        self._versions = SourceVersions(roots)
        self._known: dict[tuple[str, str | None], int] = {}
        self._origins: defaultdict[str, set[str]] = defaultdict(set)
        for known in service.sources(stream.stream_id):
            self._remember(known.source_id, known.source_version, known.job_id)
        self._next_index = len(self._known) if index_from is None else index_from
        # A priority function asks for all images, also for those that an earlier run has submitted.
        self._earlier = self._jobs_so_far() if self._prioritiser and self._known else {}
        self._namesakes: list[str] = []
        self._group_by: Sequence[str] = (stream.pipeline.image_set or {}).get("group_by", ())
        self._without_set: list[Problem] = []
        self._job_ids: dict[str, int] = {}
        self._results: dict[str, Result] = {}
        self._problems: list[Problem] = []
        self._ended = EndedJobs(lambda since: service.jobs(stream_id=self.stream_id, ended_since=since))
        self.named: NamedFiles | None = None
        self.new_jobs = 0

    @property
    def job_ids(self) -> Mapping[str, int]:
        """The job of each image, by source_id; for an image that has changed, the job of its last version."""
        return self._job_ids

    @property
    def problems(self) -> Sequence[Problem]:
        """Images that did not become a job, and why; `where` is their source_id."""
        return self._problems

    @property
    def namesakes(self) -> Sequence[str]:
        """Names, as source_ids, under which the stream already had an image of another folder.

        Both images are jobs of the stream. It is a sign that two folders share a stream by mistake.
        """
        return self._namesakes

    @property
    def without_set(self) -> Sequence[Problem]:
        """New images that belong to no image set, though the pipeline has sets; `where` is their source_id.

        Each is decided about alone.
        """
        return self._without_set

    @property
    def reopened(self) -> bool:
        """True if the stream was complete, and is open again because of new images."""
        return self._was_complete and self.new_jobs > 0

    def knows(self, file: ImageFile) -> bool:
        """Tell whether the stream has this very version of an image, `file`."""
        return (file.source_id, self._versions.of(file)) in self._known

    def report(self, problems: Iterable[Problem]) -> None:
        """Add problems that were found before the server was asked.

        Parameters
        ----------
        problems : iterable of Problem
            `where` is the source_id.
        """
        self._problems += problems

    def add(self, files: Iterable[ImageFile]) -> list[str]:
        """Submit images; those that the stream knows in this very version are followed, not sent again.

        Parameters
        ----------
        files : iterable of ImageFile
            As `haste_client.directory.scan` finds them.

        Returns
        -------
        list of str
            The source_ids of those that are jobs now.
        """
        added: list[str] = []
        files = list(files)
        with progress_bar("submitting", total=len(files), shown=self._show_progress) as bar:
            for batch in _batches(files, BULK_SIZE):
                known = [file for file in batch if self.knows(file)]
                added += self._join(known)
                added += self._send([file for file in batch if not self.knows(file)])
                bar.advance(len(batch))
                if self._prioritiser:
                    self.refresh()
        return added

    def refresh(self) -> list[Result]:
        """Ask once what has ended; compute priorities again if they are computed.

        Returns
        -------
        list of Result
            What is new.
        """
        news = [self._take(job) for job in self._ended.poll() if self._is_mine(job)]
        if self._ended.looked_at_all:
            news += self._deleted()
        if self._prioritiser:
            self._update_priorities(self._prioritiser)
        return news

    def wait(
        self,
        timeout_s: float | None = None,
        *,
        outage_s: float = OUTAGE_S,
        pause: Callable[[float], object] = time.sleep,
        tell: Callable[[str], object] = logger.warning,
    ) -> Submission:
        """Wait until every job has ended, or was deleted at the server, which counts as failed.

        Parameters
        ----------
        timeout_s : float, optional
            Default: as long as it takes.
        outage_s : float
            How long the server may be unreachable in the meantime, for example while it is restarted, or be
            without its database or broker.
        pause : callable
            Waits some seconds between two looks at the server; what it raises ends the waiting.
        tell : callable
            Takes a sentence when something holds jobs up: the server, its database or its broker is away, no
            worker takes a task, a job was reset and waits for a retry. Default: a warning in the log.

        Returns
        -------
        Submission
            Itself.

        Raises
        ------
        TimeoutError
            If jobs are still open then. They go on; `wait` may be called again.
        TransientError
            If the server stays away, or its database or broker; names which. The jobs go on when it is back.
        """
        deadline = time.monotonic() + timeout_s if timeout_s is not None else None
        holdups = Holdups(
            self._service, self.stream_id, is_awaited=self._is_open, outage_s=outage_s, tell=tell
        )
        with progress_bar("working", total=len(self._job_ids), shown=self._show_progress) as bar:
            for _ in self._refreshes(holdups, pause):
                bar.update(len(self._results))
                if not self.progress().open:
                    return self
                if deadline is not None and time.monotonic() >= deadline:
                    break
        still_open = self.progress().open
        raise TimeoutError(f"{still_open} of {len(self._job_ids)} jobs are still open after {timeout_s:g} s")

    def progress(self) -> SubmissionProgress:
        """Count the jobs as of the last `refresh` or `wait`.

        Returns
        -------
        SubmissionProgress
        """
        done = sum(result.state == "done" for result in self._results.values())
        jobs, ended = len(self._job_ids), len(self._results)
        return SubmissionProgress(jobs, jobs - ended, done, ended - done, len(self._problems))

    def results(self) -> Results:
        """List the outcome of each image as of the last `refresh` or `wait`, in the order of submission.

        Returns
        -------
        list of Result
            A notebook shows it as a table.
        """
        return Results(
            self._results.get(source_id) or Result(source_id, job_id, state="open", code=201)
            for source_id, job_id in self._job_ids.items()
        )

    def __repr__(self) -> str:
        count = self.progress()
        refused = f", {count.refused} not submitted" if count.refused else ""
        return (
            f"<Submission to stream {self.stream_id}: {count.jobs} images, {count.done} done, "
            f"{count.failed} failed, {count.open} open{refused}>"
        )

    def _repr_html_(self) -> str:
        return submission_html(self.stream_id, self.progress(), self.results(), self.problems)

    def _join(self, files: Sequence[ImageFile]) -> list[str]:
        for file in files:
            job_id = self._known[file.source_id, self._versions.of(file)]
            self._follow(file, job_id)
            if self._prioritiser and job_id in self._earlier:
                index, priority = self._earlier[job_id]
                self._prioritiser.join(_view(file, index), priority)
        return [file.source_id for file in files]

    def _jobs_so_far(self) -> dict[int, tuple[int, float]]:
        """Fetch index and priority of each job that the stream has."""
        jobs = enumerate(self._service.jobs(stream_id=self.stream_id))
        return {
            job.job_id: (position if job.index is None else job.index, job.priority) for position, job in jobs
        }

    def _remember(self, source_id: str, version: str | None, job_id: int) -> None:
        self._known[source_id, version] = job_id
        origin = origin_in(version)
        if origin is not None:
            self._origins[source_id].add(origin)

    def _follow(self, file: ImageFile, job_id: int) -> None:
        if self._job_ids.get(file.source_id) != job_id:
            self._results.pop(file.source_id, None)
        self._job_ids[file.source_id] = job_id
        self._remember(file.source_id, self._versions.of(file), job_id)

    def _send(self, files: Sequence[ImageFile]) -> list[str]:
        if not files:
            return []
        views = [_view(file, self._next_index + offset) for offset, file in enumerate(files)]
        priorities = self._prioritiser.first(views, self._results) if self._prioritiser else {}
        specs = [
            self._spec(file, view, priorities.get(file.source_id, self._fixed_priority))
            for file, view in zip(files, views, strict=True)
        ]
        answers = self._service.submit_jobs(specs)
        self._next_index += len(files)
        if self._prioritiser:
            self._prioritiser.confirm(priorities)
        return [
            file.source_id for file, answer in zip(files, answers, strict=True) if self._accept(file, answer)
        ]

    def _spec(self, file: ImageFile, view: ImageView, priority: float) -> dict[str, Any]:
        return {
            "source_url": self._roots.url_of(file.path),
            "source_id": file.source_id,
            "source_version": self._versions.of(file),
            "sidecars": [self._roots.url_of(path) for path in file.sidecar_paths],
            "site": self._site,
            "stream_id": self.stream_id,
            "index": view.index,
            "timestamp": view.modified_at,
            "priority": priority,
            "tasks": self._tasks,
            **spec_fields(file.name),
        }

    def _accept(self, file: ImageFile, answer: BulkAnswer) -> bool:
        if answer.job_id is None:
            problems = problems_of({"problems": answer.problems})
            self._problems.append(Problem(file.source_id, "; ".join(str(problem) for problem in problems)))
            return False
        others = self._origins[file.source_id]
        if others and self._versions.origin(file) not in others:
            self._namesakes.append(file.source_id)
        self._follow(file, answer.job_id)
        if answer.status == 201:
            self.new_jobs += 1
            lacks = lacking(self._group_by, spec_fields(file.name).get("metadata", {}))
            if lacks:
                self._without_set.append(Problem(file.source_id, f"has no {', '.join(lacks)}"))
        return True

    def _is_mine(self, job: JobAnswer) -> bool:
        return self._job_ids.get(job.source_id) == job.job_id

    def _is_open(self, job: JobAnswer) -> bool:
        return self._is_mine(job) and job.source_id not in self._results

    def _take(self, job: JobAnswer) -> Result:
        result = self._results[job.source_id] = Result.of(job)
        return result

    def _deleted(self) -> list[Result]:
        """Find the open jobs that the server no longer has; their images may be submitted again."""
        open_jobs = {job_id: name for name, job_id in self._job_ids.items() if name not in self._results}
        if not open_jobs:
            return []
        gone = open_jobs.keys() - {known.job_id for known in self._service.sources(self.stream_id)}
        self._known = {version: job_id for version, job_id in self._known.items() if job_id not in gone}
        deleted = [
            Result(open_jobs[job_id], job_id, state="failed", code=TaskState.CANCELLED, message=DELETED)
            for job_id in sorted(gone)
        ]
        self._results.update((result.source_id, result) for result in deleted)
        return deleted

    def _update_priorities(self, prioritiser: Prioritiser) -> None:
        open_ids = [source_id for source_id in self._job_ids if source_id not in self._results]
        changed = prioritiser.changed(open_ids, self._results)
        for part in _batches(list(changed), PRIORITIES_PER_CALL):
            with suppress(NotFoundError):  # they were deleted, which is noticed elsewhere
                self._service.set_priorities({self._job_ids[name]: changed[name] for name in part})
            prioritiser.confirm({name: changed[name] for name in part})

    def _refreshes(self, holdups: Holdups, pause: Callable[[float], object]) -> Iterator[None]:
        """Refresh for ever, at a pace that leaves the server to its work, and through its restarts."""
        pause_s = _SHORTEST_POLL_S
        while True:
            began = time.monotonic()
            news = holdups.ask(self.refresh)
            yield
            spent_s = time.monotonic() - began
            pause_s = _SHORTEST_POLL_S if news else min(1.5 * pause_s, _LONGEST_POLL_S)
            pause(max(pause_s, min(2 * spent_s, _LONGEST_POLL_S)))


def _view(file: ImageFile, index: int) -> ImageView:
    return ImageView(file.source_id, file.path, index, file.size_bytes, file.mtime_ns / 1e9)


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))
