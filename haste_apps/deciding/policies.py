"""`haste policy` and `haste mode`: what a stream decides by, what else it could, whether it moves images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from haste_apps.deciding.asking import agreed
from haste_apps.output import print_json, print_line, print_table, say, size_text, without_nothing
from haste_client import HasteClient
from haste_client.deciding import PreviewAnswer
from haste_core.errors import ConflictError, InvalidError, Problem
from haste_runtime.exit_codes import ExitCode

_PARTS = ("interestingness", "policy")


def show_policy(client: HasteClient, stream_id: str, *, as_json: bool) -> None:
    """Print function and policy of a stream, as a file that can be changed and given back.

    Raises
    ------
    ConflictError
        If nothing is decided about its images.
    """
    pipeline = client.stream(stream_id).pipeline
    if pipeline.policy is None:
        raise ConflictError(
            f"the pipeline {pipeline.name!r} of stream {stream_id!r} has no policy: nothing is decided about "
            "its images"
        )
    present = {"interestingness": pipeline.interestingness, "policy": pipeline.policy}
    if as_json:
        print_json(present)
    else:
        print_line(yaml.safe_dump(without_nothing(present), sort_keys=False, allow_unicode=True).rstrip())


def change_policy(
    client: HasteClient, stream_id: str, file: Path, *, apply: bool, yes: bool, as_json: bool
) -> ExitCode:
    """Show what function and policy of a file would do, and have the stream decide by them if asked for.

    Raises
    ------
    InvalidError
        If the file or what it says does not fit.
    ConflictError
        If nothing is decided about the stream's images.
    """
    wanted = read_policy(file)
    preview = _previewed(client, stream_id, wanted, is_needed=not apply)
    if preview is not None:
        _show(stream_id, preview, as_table=not as_json)
    applied = apply and (yes or agreed("Decide by it from now on?"))
    told = {} if preview is None else preview.model_dump(mode="json")
    if applied:
        given = client.set_policy(stream_id, **wanted)
        if preview is None:
            _warn(given.warnings)
            told = {"warnings": list(given.warnings)}
        is_enforced = client.stream(stream_id).mode == "enforce"
        follows = "moves" if is_enforced else "is noted, since it only observes"
        say(f"Stream {stream_id} decides by it now; what belongs in another tier {follows}.")
    else:
        say("Nothing was changed" + ("." if apply else "; --apply does it."))
    if as_json:
        print_json({**told, "applied": applied})
    return ExitCode.WORK_FAILED if apply and not applied else ExitCode.DONE


def _previewed(
    client: HasteClient, stream_id: str, wanted: Mapping[str, Mapping[str, Any]], *, is_needed: bool
) -> PreviewAnswer | None:
    """Ask what would be; what can only be applied, and not tried, need not tell."""
    try:
        return client.preview_policy(stream_id, **wanted)
    except InvalidError as error:
        if is_needed:
            raise
        say(f"What it would do is not known: {error}")
        return None


def read_policy(file: Path) -> dict[str, Mapping[str, Any]]:
    """Read function, policy or both from a YAML file: a policy alone, the two under their names, a pipeline.

    Raises
    ------
    InvalidError
        If it holds neither.
    """
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidError([Problem("--file", f"{file} cannot be read as YAML: {error}")]) from error
    if not isinstance(read, Mapping):
        what = f"{file} holds neither a policy (intervals, undefined) nor `interestingness:` or `policy:`"
        raise InvalidError([Problem("--file", what)])
    named = {name: read[name] for name in _PARTS if isinstance(read.get(name), Mapping)}
    return named or {"policy": read}


def change_mode(client: HasteClient, stream_id: str, mode: str, *, yes: bool, as_json: bool) -> ExitCode:
    """Let a stream observe or enforce, after the user has seen what would move."""
    present = client.mode(stream_id)
    unmoved = present.unmoved
    images = f"{unmoved.count} images ({size_text(unmoved.size_bytes)})"
    if mode == "enforce":
        removes = (client.stream(stream_id).pipeline.policy or {}).get("move")
        originals = "are removed once their copies are verified" if removes else "stay where they are"
        waiting = f"{images} of stream {stream_id} are not in the tier that was decided"
        said = f"{waiting}, and go there; originals {originals}"
    else:
        said = f"stream {stream_id} records decisions from now on; what lies in tiers stays there"
    say(said)
    if mode != present.mode and not yes and not agreed(f"Let it {mode} from now on?"):
        say("nothing was changed")
        kept, code = present.mode, ExitCode.WORK_FAILED
    else:
        kept, code = client.set_mode(stream_id, mode).mode, ExitCode.DONE
        say(f"stream {stream_id}: {kept}")
    if as_json:
        print_json({"stream_id": stream_id, "mode": kept, "unmoved": unmoved.model_dump()})
    return code


def _show(stream_id: str, preview: PreviewAnswer, *, as_table: bool) -> None:
    if not preview.count:
        say(f"Nothing was decided in stream {stream_id} yet; it concerns the images that come.")
        return
    if as_table:
        _show_table(preview)
    say(f"{preview.moving} of {preview.count} images of stream {stream_id} would belong in another tier.")
    unscored = preview.unscored
    if unscored.count:
        of_them = f"{unscored.count} of {preview.count} images cannot be scored by this function"
        say(f"Warning: {of_them}, and earlier decisions about them stay: {unscored.reason}.")
    _warn(preview.warnings)
    if preview.deleted.count:
        say(f"{preview.deleted.count} more were deleted from a trash, and no policy brings them back.")


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        say(f"Warning: {warning}")


def _show_table(preview: PreviewAnswer) -> None:
    leaving: Counter[str] = Counter()
    coming: Counter[str] = Counter()
    for move in preview.moves:
        leaving[move.before] += move.count
        coming[move.after] += move.count
    rows = []
    for tier in sorted(preview.tiers.keys() | leaving.keys()):
        then = preview.tiers.get(tier)
        count = then.count if then else 0
        numbers = [count - coming[tier] + leaving[tier], count, coming[tier], leaving[tier]]
        rows.append([tier, *map(str, numbers), size_text(then.size_bytes if then else 0)])
    heads = ["tier", "images now", "then", "would come", "would go", "size then"]
    print_table(heads, rows, numbers=set(heads[1:]))
