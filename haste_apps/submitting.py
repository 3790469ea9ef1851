"""`haste submit` and `haste watch`: a folder's images become jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from haste_apps.interruption import Interruption
from haste_apps.naming import NameCheck
from haste_apps.output import print_json, say
from haste_apps.summary import failure_lines, summary_json
from haste_apps.tables import show_tiers
from haste_client import (
    ConflictError,
    HasteClient,
    ImageFile,
    InvalidError,
    OutageError,
    Problem,
    ServerUnreachableError,
    Submission,
    TransientError,
)
from haste_client.directory import Selection, scan, stream_id_for
from haste_client.end_markers import EndMarkers
from haste_client.settling import Unfinished
from haste_client.watching import FolderWatch, watch
from haste_runtime.exit_codes import ExitCode

PROBLEMS_SHOWN = 20
UNFINISHED_AFTER_S = 30.0
OUTAGE_PAUSE_S = 2.0
LOOK_AT_SERVER_EVERY_S = 10.0


@dataclass(frozen=True)
class SubmitOptions:
    """How the images of a folder are submitted; see `HasteClient.submit_directory`."""

    stream_id: str | None = None
    pipeline: str = "focus-tier"
    pattern: str | None = None
    recursive: bool = True
    priority: float = 1.0
    mode: str | None = None
    site: str = "default"
    names: str | None = None
    unparsed: str = "stop"
    end_markers: Sequence[str] | None = None


def submit(
    client: HasteClient,
    directory: Path,
    options: SubmitOptions,
    *,
    complete: bool,
    wait: bool,
    as_json: bool,
    interruption: Interruption,
) -> ExitCode:
    """Submit a folder's images, complete their stream and wait for them if asked."""
    found = scan(directory, Selection(options.pattern, options.recursive, client.sidecars))
    files = NameCheck(options.names, options.unparsed, directory).choose_first(found.files)
    submission = _open(client, directory, options, progress=True)
    submission.report(found.unreadable)
    submission.add(files)
    _say_problems(submission.problems)
    if submission.namesakes:
        say(_namesakes_text(submission))
    if submission.without_set:
        say(_without_set_text(submission))
    known = len(submission.job_ids) - submission.new_jobs
    say(f"stream {submission.stream_id}: {submission.new_jobs} new images, {known} known already")
    _complete(client, submission, wanted=complete)
    if not wait:
        _ServerLook(client).look()
        if submission.new_jobs:
            say(
                "The server looks at them from now on: `haste streams` tells how far it is, "
                f"`haste jobs --stream {submission.stream_id} --state failed` what went wrong"
            )
        if as_json:
            print_json(_counts_json(submission))
        return ExitCode.WORK_FAILED if submission.problems else ExitCode.DONE
    submission.wait(pause=interruption.pause, tell=say)
    return _show_outcome(submission, as_json=as_json)


def _complete(client: HasteClient, submission: Submission, *, wanted: bool) -> None:
    """Complete a stream if that is wanted and all its images became jobs; tell if it is open otherwise."""
    later = f"haste complete {submission.stream_id}"
    if wanted and submission.problems:
        say(
            f"The stream is not completed, since some images were not submitted; {later} does it all the same"
        )
    elif wanted:
        client.complete_stream(submission.stream_id)
    elif submission.reopened:
        say(f"The stream was complete; with the new images it is open again, until {later}")


def watch_folder(
    client: HasteClient,
    directory: Path,
    options: SubmitOptions,
    *,
    once: bool,
    settle_s: float,
    as_json: bool,
    stop: threading.Event,
) -> ExitCode:
    """Submit a folder's images as they become complete, until stopped.

    The server may be restarted meanwhile, and so may this program: the server knows what it has.
    """
    selection = Selection(
        options.pattern, options.recursive, client.sidecars, end_markers=_markers(options.end_markers)
    )
    names = NameCheck(options.names, options.unparsed, directory)
    if options.names is not None:
        names.choose_first(scan(directory, selection).files)
    submission = _open(client, directory, options)
    reporter = _WatchReporter(client)

    def add(files: list[ImageFile]) -> None:
        added = _add(submission, names.choose(files), stop=stop, patient=not once)
        for source_id in added:
            if as_json:
                print_json({"source_id": source_id, "job_id": submission.job_ids[source_id]})
        reporter.submitted(submission, added)

    say(f"watching {directory} for stream {submission.stream_id}" + ("" if once else "; Ctrl-C ends it"))
    unfinished = watch(
        directory,
        add,
        selection=selection,
        settle_s=settle_s,
        once=once,
        stop=stop,
        already=submission.knows,
        on_look=reporter.look,
    )
    reporter.say_unfinished(unfinished)
    not_submitted = submission.problems or (options.unparsed == "stop" and names.unparsed)
    return ExitCode.WORK_FAILED if not_submitted or (once and unfinished) else ExitCode.DONE


def _markers(patterns: Sequence[str] | None) -> EndMarkers:
    try:
        return EndMarkers(tuple(patterns or ()))
    except ValueError as error:
        raise InvalidError([Problem("--end-marker", str(error))]) from error


def _open(
    client: HasteClient, directory: Path, options: SubmitOptions, *, progress: bool = False
) -> Submission:
    with _remedy_for_conflicts():
        return client.open_submission(
            options.stream_id or stream_id_for(directory.resolve()),
            pipeline=options.pipeline,
            mode=options.mode,
            site=options.site,
            priority=options.priority,
            progress=progress,
        )


@contextmanager
def _remedy_for_conflicts() -> Iterator[None]:
    """Name the options that settle it where a stream of that name is there, but differs."""
    try:
        yield
    except ConflictError as error:
        raise ConflictError(f"{error} (--stream, --pipeline, --mode)") from error


def _add(
    submission: Submission, files: Sequence[ImageFile], *, stop: threading.Event, patient: bool
) -> list[str]:
    told = False
    while not stop.is_set():
        try:
            return submission.add(files)
        except TransientError as error:
            if not patient:
                raise
            if not told:
                say(f"{error}. Trying again until it answers.")
            told = True
            stop.wait(OUTAGE_PAUSE_S)
    return []


class _WatchReporter:
    """Says what becomes of a watched folder: what happens, as it happens; what stays as it is, once."""

    def __init__(self, client: HasteClient) -> None:
        self._server = _ServerLook(client)
        self._said: set[str] = set()
        self._trouble = ""
        self._problems = 0
        self._without_set_told = False

    def submitted(self, submission: Submission, added: list[str]) -> None:
        if added:
            say(f"{len(added)} images submitted, {submission.new_jobs} since the start")
        if submission.namesakes:
            self.say_once(_namesakes_text(submission))
        self._say_without_set(submission)
        _say_problems(submission.problems[self._problems :])
        self._problems = len(submission.problems)

    def _say_without_set(self, submission: Submission) -> None:
        if submission.without_set and not self._without_set_told:
            self._without_set_told = True
            say(_without_set_text(submission))

    def look(self, folder: FolderWatch) -> None:
        if folder.trouble != self._trouble:
            say(f"{folder.trouble}. Waiting for it." if folder.trouble else "The folder is there again.")
            self._trouble = folder.trouble
        self.say_once(folder.events_trouble)
        for problem in folder.unreadable:
            self.say_once(str(problem))
        self.say_unfinished(entry for entry in folder.unfinished() if entry.unchanged_s >= UNFINISHED_AFTER_S)
        self._server.look_now_and_then()

    def say_unfinished(self, entries: Iterable[Unfinished]) -> None:
        for entry in entries:
            self.say_once(f"{entry.file.source_id} is not complete and not submitted: {entry.lacks}")

    def say_once(self, message: str) -> None:
        if message and message not in self._said:
            self._said.add(message)
            say(message)


def _show_outcome(submission: Submission, *, as_json: bool) -> ExitCode:
    results = submission.results()
    _say_listed(failure_lines(results), more=f": haste jobs --stream {submission.stream_id} --state failed")
    show_tiers(results, left_out=len(submission.problems), as_json=as_json)
    if as_json:
        print_json(summary_json(results, refused=len(submission.problems)))
    progress = submission.progress()
    return ExitCode.WORK_FAILED if progress.failed or progress.refused else ExitCode.DONE


def _counts_json(submission: Submission) -> dict[str, object]:
    return {
        "stream_id": submission.stream_id,
        "jobs": len(submission.job_ids),
        "new": submission.new_jobs,
        "refused": len(submission.problems),
    }


def _namesakes_text(submission: Submission) -> str:
    return (
        f"Warning: stream {submission.stream_id} already has images of another folder under the same names, "
        f"such as {submission.namesakes[0]}. Each is a job of its own; to keep the folders apart, give each "
        "its own --stream"
    )


def _without_set_text(submission: Submission) -> str:
    images, first = len(submission.without_set), submission.without_set[0]
    return (
        f"Warning: {images} of {submission.new_jobs} new images belong to no image set, such as "
        f"{first.where}, which {first.what}. Each is decided about alone. `--names` tells how the files are "
        "named; `haste names DIR` shows what the names say"
    )


def _say_problems(problems: Iterable[Problem]) -> None:
    _say_listed([f"not submitted: {problem}" for problem in problems])


def _say_listed(lines: Sequence[str], *, more: str = "") -> None:
    for line in lines[:PROBLEMS_SHOWN]:
        say(line)
    if len(lines) > PROBLEMS_SHOWN:
        say(f"… and {len(lines) - PROBLEMS_SHOWN} more{more}")


class _ServerLook:
    """Says when the server cannot work on what it has stored, and when it can again."""

    def __init__(self, client: HasteClient) -> None:
        self._client = client
        self._in_trouble = False
        self._look_at_s = 0.0

    def look_now_and_then(self) -> None:
        if time.monotonic() >= self._look_at_s:
            self.look()
            self._look_at_s = time.monotonic() + LOOK_AT_SERVER_EVERY_S

    def look(self) -> None:
        try:
            self._client.check_ready(once=True)
        except OutageError as error:
            if not self._in_trouble:
                say(f"{error}. The images that are submitted are stored, and processed when it is back.")
            self._in_trouble = True
        except ServerUnreachableError:
            return  # whoever submits to it says so
        else:
            if self._in_trouble:
                say("The server works again.")
            self._in_trouble = False
