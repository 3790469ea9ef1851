"""`haste-agent --dry-run`: what would be found and sent, and whether the server would take it."""

from __future__ import annotations

from haste_apps.agent.central import CentralServer
from haste_apps.agent.checks import check_choices
from haste_apps.agent.settings import AgentSettings
from haste_apps.output import print_json, print_line, say, size_text
from haste_client.completeness import missing_part
from haste_client.directory import Selection, scan
from haste_runtime.exit_codes import ExitCode


def dry_run(settings: AgentSettings, *, as_json: bool) -> ExitCode:
    """List the images of the folder, and ask the server; nothing is stored or sent.

    Raises
    ------
    InvalidError, TransientError
        If the server would not take them.
    """
    check_choices(settings)
    found = scan(settings.path, Selection(suffixes=frozenset(settings.include) if settings.include else None))
    for file in found.files:
        lacks = missing_part(file.path)
        if as_json:
            print_json({"source_id": file.source_id, "size_bytes": file.size_bytes, "lacks": lacks})
        else:
            print_line(
                f"{file.source_id}  {size_text(file.size_bytes)}{f'  NOT COMPLETE: {lacks}' if lacks else ''}"
            )
    for problem in found.unreadable:
        say(f"left out: {problem}")
    total = size_text(sum(file.size_bytes for file in found.files))
    how = (
        "sent as they are"
        if settings.operator == "none"
        else f"made smaller by {settings.operator} if there is time"
    )
    say(f"{len(found.files)} images, {total}; {how}")
    with CentralServer(settings) as central:
        pipeline = central.find_pipeline()
    tag, stream_id = settings.tag, settings.stream_id
    say(f"{settings.host} answers; tag {tag} means its pipeline {pipeline}, stream {stream_id}")
    return ExitCode.DONE
