"""`haste demo`: a simulated microscope, and everything that happens to what it writes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from haste_apps.demo.microscope import Microscope, read_truth
from haste_apps.demo.outcome import show_end
from haste_apps.demo.stages import StageDisplay
from haste_apps.demo.verdict import Truth, faults, mean_defocus_by_tier
from haste_apps.demo.workspace import prepare_work_dir
from haste_apps.embedded_server import EmbeddedServer
from haste_apps.exits import RunFailedError
from haste_apps.interruption import Interruption
from haste_apps.output import as_called, say
from haste_apps.reporting.reporting import write_page
from haste_apps.tables import show_tiers
from haste_client import HasteClient, Result, Submission
from haste_client.watching import FolderWatch
from haste_core.policies import IntervalPolicy
from haste_runtime.exit_codes import ExitCode

STREAM_ID, PIPELINE = "demo", "full"
SEED = 7
FAULTS_SHOWN = 20

_SETTLE_S = 1.0  # the simulated microscope writes a file in less; a real one may need more
_POLL_S = 0.2
_PATIENCE_S = 180.0  # without any news


class DemoStuckError(RunFailedError):
    """The demo made no progress for too long."""


def run_simulated(
    *, work_dir: Path, count: int, rate_hz: float, keep: bool, as_json: bool, interruption: Interruption
) -> ExitCode:
    """Let a simulated microscope write images, and let the server preprocess, score and tier them.

    Parameters
    ----------
    work_dir : Path
        Where all of it happens.
    count : int
        How many images.
    rate_hz : float
        Images per second.
    keep : bool
        Leave the server running until Ctrl-C.
    as_json : bool
        Print the outcome as one JSON object.
    interruption : Interruption
    """
    folder = prepare_work_dir(work_dir)
    images = folder / "microscope"
    images.mkdir()
    say("Starting a server on this machine …")
    # What was started is stopped here, whatever becomes of the client's work.
    with (
        EmbeddedServer(folder / "server", roots={"demo": images}) as server,
        Microscope(images, count=count, rate_hz=rate_hz, seed=SEED) as microscope,
    ):

        def work() -> ExitCode:
            server.wait_until_ready(interruption.pause)
            with server.connect() as client:
                results = _acquire(client, microscope, server, count=count, interruption=interruption)
                exit_code = _conclude(client, results, folder, as_json=as_json, interruption=interruption)
            if keep:
                say(f"The server answers at {server.page} until Ctrl-C.")
                interruption.heard.wait()
            return exit_code

        return interruption.run(work)


def _acquire(
    client: HasteClient,
    microscope: Microscope,
    server: EmbeddedServer,
    *,
    count: int,
    interruption: Interruption,
) -> list[Result]:
    """Submit each image when it is complete, until all have ended."""
    submission = client.open_submission(STREAM_ID, pipeline=PIPELINE, mode="enforce")
    microscope.start()
    last_news_s = time.monotonic()
    with (
        FolderWatch(microscope.directory, settle_s=_SETTLE_S, poll_s=_POLL_S) as folder,
        StageDisplay(client, STREAM_ID, count) as display,
    ):
        while True:
            interruption.check()
            server.check()
            microscope.check()
            news = [*submission.add(folder.look()), *submission.refresh()]
            progress = submission.progress()
            display.update(acquired=progress.jobs)
            if microscope.finished and progress.jobs >= count and not progress.open:
                return submission.results()
            if news:
                last_news_s = time.monotonic()
            elif time.monotonic() - last_news_s > _PATIENCE_S:
                raise _stuck(submission, server)
            folder.wait()


def _stuck(submission: Submission, server: EmbeddedServer) -> DemoStuckError:
    return DemoStuckError(
        f"no news for {_PATIENCE_S:g} s, {submission.progress().open} jobs open; "
        f"the server's last words:\n{server.last_words()}"
    )


def _conclude(
    client: HasteClient, results: list[Result], folder: Path, *, as_json: bool, interruption: Interruption
) -> ExitCode:
    images = folder / "microscope"
    policy = client.stream(STREAM_ID).pipeline.policy or {}
    truth = read_truth(images)
    wrong = faults(
        results,
        truth=truth,
        images_dir=images,
        tiers_dir=folder / "server" / "tiers",
        policy=IntervalPolicy.model_validate(policy),
    )
    for fault in wrong[:FAULTS_SHOWN]:
        say(f"Wrong: {fault}")
    report = folder / "report.html"
    title = "HASTE demo: simulated cells at known defocus"
    write_page(client, STREAM_ID, report, title=title, interruption=interruption)
    _show(results, truth, report, folder, as_json=as_json)
    return ExitCode.WORK_FAILED if wrong else ExitCode.DONE


def _show(
    results: list[Result], truth: Mapping[str, Truth], report: Path, folder: Path, *, as_json: bool
) -> None:
    show_tiers(results, mean_defocus=mean_defocus_by_tier(results, truth), as_json=as_json)
    show_end(
        results,
        report=report,
        hints=[
            f"The tiers' folders: {folder / 'server' / 'tiers'}",
            f"Your own images, which are only read: {as_called('haste')} demo --images FOLDER",
        ],
        as_json=as_json,
    )
