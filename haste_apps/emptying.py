"""What lies in a trash, and having it deleted."""

from __future__ import annotations

from datetime import datetime

from haste_apps.deciding.asking import agreed, name_of_user
from haste_apps.output import print_json, print_table, say, size_text
from haste_client import HasteClient
from haste_client.trashes import TrashedAnswer
from haste_runtime.exit_codes import ExitCode


def show_trash(client: HasteClient, tier: str, *, as_json: bool) -> None:
    """Print what lies in a trash, and until when it stays.

    Raises
    ------
    NotFoundError, ConflictError
        If there is no such tier, or it is no trash.
    """
    if as_json:
        for image in client.trash(tier):
            print_json(image.model_dump(mode="json"))
        return
    images = list(client.trash(tier))
    heads = ["job", "stream", "image", "size", "since", "stays"]
    rows = [
        [
            str(image.job_id),
            image.stream_id,
            image.source_id,
            size_text(image.size_bytes),
            _time_text(image.trashed_at),
            _stays(image),
        ]
        for image in images
    ]
    print_table(heads, rows, numbers={"job", "size"})
    say(f"{len(images)} images in {tier}, {size_text(sum(image.size_bytes for image in images))}")


def empty_trash(
    client: HasteClient, tier: str, *, dry_run: bool, yes: bool, by: str | None, as_json: bool
) -> ExitCode:
    """Have deleted what has lain in a trash for longer than its time of grace, if the user agrees.

    Raises
    ------
    NotFoundError, ConflictError
        If there is no such tier, or it is no trash.
    InvalidError
        If there is nobody to ask.
    """
    found = client.empty_trash(tier, dry_run=True)
    what = f"{found.count} images ({size_text(found.size_bytes)}) in {tier}"
    say(f"{what} are over their time of grace")
    is_wanted = not dry_run and found.count > 0
    is_agreed = is_wanted and (yes or agreed(f"Delete {what} for good?"))
    if is_agreed:
        found = client.empty_trash(tier, by=by or name_of_user())
        say(f"{found.count} images are deleted by the workers now, one after the other")
    elif is_wanted:
        say("nothing was deleted")
    if as_json:
        print_json({**found.model_dump(mode="json"), "emptied": is_agreed})
    return ExitCode.WORK_FAILED if is_wanted and not is_agreed else ExitCode.DONE


def _stays(image: TrashedAnswer) -> str:
    if image.marked:
        return "is being deleted"
    if image.pinned:
        return "pinned"
    if not image.enforced:
        return "its stream only observes"
    return f"until {_time_text(image.expires_at)}"


def _time_text(seconds: float | None) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "minutes")
