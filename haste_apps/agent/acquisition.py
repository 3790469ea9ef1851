"""The agent at work: finds images, hands them to its own server, and follows them to the lab's."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from haste_apps.agent.clearing import Original, clear_intermediate, delete_original
from haste_apps.agent.display import Display
from haste_apps.agent.following import Following
from haste_apps.agent.own_server import PIPELINE, OwnServer, local_stream_id
from haste_apps.agent.sent_images import Departures, SentImages
from haste_apps.agent.settings import AgentSettings
from haste_apps.embedded_server import OwnServerError
from haste_apps.interruption import Interruption
from haste_apps.naming import NameCheck
from haste_apps.output import size_text
from haste_client import HasteClient, ImageFile, Submission
from haste_client.answers import JobAnswer
from haste_client.directory import Selection
from haste_client.end_markers import EndMarkers
from haste_client.settling import Unfinished
from haste_client.versions import SourceVersions
from haste_client.watching import FolderWatch
from haste_core.errors import TransientError
from haste_runtime.exit_codes import ExitCode

UNFINISHED_AFTER_S = 30.0
_LOOK_EVERY_S = 1.0
_POLL_S = 0.5
_RESTART_PAUSE_S = 2.0
_MOST_RESTARTS = 5  # without one that stayed up
_STEADY_S = 60.0


class Acquisition:
    """One run of the agent.

    Parameters
    ----------
    settings : AgentSettings
    display : Display
    interruption : Interruption
    once : bool
        End when all that is there is sent.
    """

    def __init__(
        self, settings: AgentSettings, display: Display, interruption: Interruption, *, once: bool
    ) -> None:
        self._settings = settings
        self._display = display
        self._interruption = interruption
        self._once = once
        self._told = Told(time.time())
        self._was_seen = False
        self._lacks_space = False
        self._away = ""

    @property
    def stopped(self) -> ExitCode:
        """The exit code of a run that was told to end."""
        return ExitCode.INTERRUPTED if self._once else ExitCode.DONE

    def run(self) -> ExitCode:
        """Work until all is sent, if that is wanted, or until the program is told to end.

        Raises
        ------
        OwnServerError
            If the agent's own server dies again and again.
        """
        failures = 0
        while True:
            began_s = time.monotonic()
            try:
                with OwnServer(self._settings) as server:
                    server.wait_until_ready(self._interruption.pause)
                    self._display.show_page(server.page, self._settings.own_folder / "page.txt")
                    with server.connect() as client:
                        return self._work(client, server)
            except (OwnServerError, TransientError) as error:
                failures = 0 if time.monotonic() - began_s > _STEADY_S else failures + 1
                if failures >= _MOST_RESTARTS:
                    raise
                self._display.say(f"{error}\nStarting it again.")
                self._interruption.pause(_RESTART_PAUSE_S)

    def _work(self, client: HasteClient, server: OwnServer) -> ExitCode:
        settings = self._settings
        selection = Selection(
            suffixes=frozenset(settings.include) if settings.include else None,
            sidecars=client.sidecars,
            end_markers=EndMarkers(settings.end_markers),
        )
        incomplete: list[Unfinished] = []
        with ExitStack() as stack:
            sent = stack.enter_context(SentImages(settings.own_folder / "sent.sqlite"))
            sending = _Sending(client, settings, self._display, told=self._told, sent=sent)
            folder = stack.enter_context(
                FolderWatch(
                    settings.path,
                    selection=selection,
                    settle_s=settings.settle_s,
                    poll_s=_POLL_S,
                    already=sending.knows,
                )
            )
            look_at_s = 0.0
            while not self._interruption.heard.is_set():
                files = self._look(folder) if self._has_space() else []
                sending.add(files)
                self._tell(folder)
                if files or time.monotonic() >= look_at_s:
                    server.check()
                    incomplete = folder.unfinished()
                    sending.look(incomplete=len(incomplete))
                    look_at_s = time.monotonic() + _LOOK_EVERY_S
                    at_rest = folder.at_rest and not self._lacks_space
                    if self._once and not files and at_rest and not sending.waiting:
                        return sending.outcome(incomplete)
                if not files:
                    folder.wait()
        return self.stopped

    def _look(self, folder: FolderWatch) -> list[ImageFile]:
        """Look for new images; the folder may be away just when the own server was restarted."""
        try:
            files = folder.look()
        except OSError as error:
            if not self._was_seen:
                raise
            self._display.say_once(f"{error}. Waiting for the folder.")
            return []
        self._was_seen = True
        return files

    def _has_space(self) -> bool:
        free, least = shutil.disk_usage(self._settings.own_folder).free, self._settings.min_free
        self._lacks_space = free < least
        text = (
            f"Less than {size_text(least)} are free on the disk of {self._settings.own_folder} (min_free): "
            "no more images are taken on until there are"
        )
        if self._lacks_space:
            self._display.say_once(text)
        else:
            self._display.forget(text)
        return not self._lacks_space

    def _tell(self, folder: FolderWatch) -> None:
        display = self._display
        away = f"{folder.trouble}. Waiting for it."
        if folder.trouble:
            display.say_once(away)
            self._away = away
        elif self._away:
            display.forget(self._away)
            display.say("The folder is there again.")
            self._away = ""
        display.say_once(folder.events_trouble)
        for problem in folder.unreadable:
            display.say_once(str(problem))
        for entry in folder.unfinished():
            if entry.unchanged_s >= UNFINISHED_AFTER_S:
                display.say_once(f"{entry.file.source_id} is not complete and not sent: {entry.lacks}")


@dataclass
class Told:
    """Which ends of jobs were told: not those of earlier runs, and the others once, whatever is restarted.

    Ends of earlier runs are those before this one began; once they were seen, the clock does not matter.
    """

    began_at: float
    earlier_seen: bool = False
    _seen: set[tuple[int, float]] = field(default_factory=set)

    def is_news(self, job: JobAnswer) -> bool:
        """Tell whether the end of a job is to be told, and take it for told from now on."""
        if job.ended_at is None or (job.job_id, job.ended_at) in self._seen:
            return False
        self._seen.add((job.job_id, job.ended_at))
        return self.earlier_seen or job.ended_at >= self.began_at


class _Sending:
    """The images on their way through the agent's own server."""

    def __init__(
        self,
        client: HasteClient,
        settings: AgentSettings,
        display: Display,
        *,
        told: Told,
        sent: SentImages,
    ) -> None:
        self._display = display
        self._settings = settings
        self._told = told
        current = client.create_stream(local_stream_id(settings), pipeline=PIPELINE)
        earlier = [stream for stream in client.streams() if _is_for(settings, stream.pipeline.parameters)]
        streams = [current, *(one for one in earlier if one.stream_id != current.stream_id)]
        self._sent = sent
        self._departures = Departures(client, sent)
        self._versions = SourceVersions(client.roots)
        self._submissions = {
            stream.stream_id: Submission(
                client,
                stream,
                roots=client.roots,
                site="default",
                index_from=self._departures.finish(stream.stream_id),
            )
            for stream in streams
        }
        self._submission = self._submissions[current.stream_id]
        # What failed may be possible by now, with a larger disk or another token.
        for stream_id in self._submissions:
            client.retry_jobs(stream_id=stream_id, state="failed")
        self._following = Following(
            client, list(self._submissions), preprocesses=settings.operator != "none", left=sent.sums()
        )
        self._names = NameCheck(settings.names, "include", settings.path)
        self._problems = 0

    @property
    def waiting(self) -> int:
        """How many images are on their way."""
        return self._following.status.waiting

    def knows(self, file: ImageFile) -> bool:
        """Tell whether this very version was found before, also with another operator."""
        here = any(submission.knows(file) for submission in self._submissions.values())
        return here or self._sent.knows(file.source_id, self._versions.of(file))

    def add(self, files: Iterable[ImageFile]) -> None:
        """Store what was found."""
        by_name = {file.source_id: file for file in self._names.choose(files)}
        if not by_name:
            return
        for source_id in self._submission.add(by_name.values()):
            size_bytes = by_name[source_id].size_bytes
            self._following.add(self._submission.job_ids[source_id], size_bytes)
            self._display.event("found", source_id=source_id, size_bytes=size_bytes)
        for problem in self._submission.problems[self._problems :]:
            self._display.say(f"not sent: {problem}")
            self._display.event("refused", source_id=problem.where, message=problem.what)
        self._problems = len(self._submission.problems)

    def look(self, *, incomplete: int) -> None:
        """Find out and show what has become of the images."""
        for job in self._following.look():
            if self._clear(job):
                self._departures.take(job)
            if self._told.is_news(job):
                self._tell(job)
        self._told.earlier_seen = True
        self._departures.go_on(self._following)
        self._display.show(self._following.status, incomplete=incomplete)

    def outcome(self, incomplete: Iterable[Unfinished]) -> ExitCode:
        """Say what was left out, and tell the exit code."""
        lacking = list(incomplete)
        for entry in lacking:
            self._display.say_once(f"{entry.file.source_id} is not complete and not sent: {entry.lacks}")
        left_out = self._following.status.failed or self._problems or lacking
        return ExitCode.WORK_FAILED if left_out else ExitCode.DONE

    def _clear(self, job: JobAnswer) -> bool:
        """Remove what is not needed any more; False if that has to be tried again at the next start."""
        clear_intermediate(self._settings.own_folder / "server", job)
        if not self._settings.delete_after_upload:
            return True
        try:
            outcome = delete_original(self._settings.path, job)
        except OSError as error:
            self._display.say_once(f"{job.source_id} is uploaded, but cannot be deleted: {error.strerror}")
            return False
        if outcome is Original.DELETED:
            self._display.event("deleted", source_id=job.source_id)
        return True

    def _tell(self, job: JobAnswer) -> None:
        if not job.done:
            message = next((task.task_msg for task in job.task_list() if task.task_state == job.state), "")
            self._display.say(f"{job.source_id} was not sent: {message}")
            self._display.event("failed", source_id=job.source_id, code=job.state, message=message)
            return
        told: dict[str, Any] = job.response.get("upload") or {}
        for why in (told.get("sidecars_missing") or {}).values():
            self._display.say(f"{job.source_id} was sent without a sidecar: {why}")
        names = ("job_id", "sha256", "size_bytes", "original_bytes", "original_sha256")
        self._display.event("uploaded", source_id=job.source_id, **{name: told.get(name) for name in names})


def _is_for(settings: AgentSettings, parameters: dict[str, Any]) -> bool:
    """Tell whether a stream of the agent's own server leads to the stream that is sent to."""
    return (parameters.get("upload") or {}).get("stream_id") == settings.stream_id
