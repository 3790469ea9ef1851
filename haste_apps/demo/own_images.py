"""`haste demo --images DIR`: somebody's own folder, looked at and left alone."""

from __future__ import annotations

from pathlib import Path

from haste_apps.demo.outcome import show_end
from haste_apps.demo.workspace import prepare_work_dir
from haste_apps.embedded_server import EmbeddedServer
from haste_apps.interruption import Interruption
from haste_apps.output import as_called, say
from haste_apps.reporting.reporting import write_page
from haste_apps.suspicions import suspicions
from haste_apps.tables import show_tiers
from haste_client import InvalidError, Problem, Submission
from haste_client.directory import Selection, scan
from haste_runtime.exit_codes import ExitCode

PIPELINE = "focus-tier"
FAILURES_SHOWN = 20


def score_own_images(
    images: Path,
    *,
    work_dir: Path,
    pattern: str | None,
    keep: bool,
    as_json: bool,
    interruption: Interruption,
) -> ExitCode:
    """Score a folder's images and say which tier each would go to; nothing is moved or changed.

    Parameters
    ----------
    images : Path
        Only read.
    work_dir : Path
        For the server's data and the report.
    pattern : str, optional
        A glob for the names.
    keep : bool
        Leave the server running until Ctrl-C.
    as_json : bool
        Print the outcome as one JSON object.
    interruption : Interruption
    """
    interruption.run(lambda: _refuse_without_images(images, pattern))
    folder = prepare_work_dir(work_dir, images=images)
    roots = {"images": images.resolve()}
    say("Starting a server on this machine …")
    with EmbeddedServer(folder / "server", roots=roots) as server:

        def work() -> ExitCode:
            server.wait_until_ready(interruption.pause)
            with server.connect() as client:
                submission = client.submit_directory(
                    images, pipeline=PIPELINE, pattern=pattern, mode="observe", progress=True
                )
                submission.wait(pause=interruption.pause, tell=say)
                say("Drawing the report …")
                title, report = f"Focus of {images.resolve().name}", folder / "report.html"
                write_page(client, submission.stream_id, report, title=title, interruption=interruption)
            _show(submission, report, as_json=as_json)
            if keep:
                say(f"The server answers at {server.page} until Ctrl-C.")
                interruption.heard.wait()
            progress = submission.progress()
            return ExitCode.WORK_FAILED if progress.failed or progress.refused else ExitCode.DONE

        return interruption.run(work)


def _refuse_without_images(images: Path, pattern: str | None) -> None:
    """Find a wrong folder while nothing has been started, and nothing of an earlier demo removed."""
    if not images.exists():
        trouble = f"there is no folder {images}"
    elif not images.is_dir():
        trouble = f"{images} is no folder; name the one that it is in, and choose it with --pattern"
    else:
        found = scan(images, Selection(pattern))
        if found.files or found.unreadable:
            return
        wanted = "TIFF, PNG or JPEG image" if pattern is None else f"file whose name is like {pattern}"
        trouble = f"{images} holds no {wanted}"
    raise InvalidError([Problem("--images", trouble)])


def _show(submission: Submission, report: Path, *, as_json: bool) -> None:
    results = submission.results()
    failed = [f"{result.source_id}: {result.message}" for result in results if result.state == "failed"]
    failed += [str(problem) for problem in submission.problems]
    for failure in failed[:FAILURES_SHOWN]:
        say(failure)
    if len(failed) > FAILURES_SHOWN:
        say(f"… and {len(failed) - FAILURES_SHOWN} more failures")
    for warning in suspicions([one.interestingness for one in results], [one.features for one in results]):
        say(f"Warning: {warning}")
    show_tiers(results, left_out=len(submission.problems), as_json=as_json)
    show_end(
        results,
        refused=len(submission.problems),
        report=report,
        hints=[
            f"Your images were only read. To go on: start {as_called('haste-server')}, "
            f"then `{as_called('haste')} submit DIR`."
        ],
        as_json=as_json,
    )
