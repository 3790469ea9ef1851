"""The second half of moving: what was copied is removed from where it was, once its copy is recorded.

See docs/decisions/0097-what-is-left-behind-is-removed-by-the-same-task.md.
"""

from __future__ import annotations

from pathlib import Path

from haste_core.errors import PermanentError, SourceMissingError, TransientError
from haste_core.messages import Place
from haste_core.routing import OutsideRootsError, file_url
from haste_workers.context import TaskContext
from haste_workers.durable import CONTAINER_SUFFIX
from haste_workers.removing import remove_copied
from haste_workers.sources import LANDING_ROOT, local_path
from haste_workers.tiers.storage import TierStorage

_BUCKETS = ("s3://", "swift://")


class _CopyMissingError(PermanentError):
    """The copy is not where it was recorded."""


def why_it_stays(url: str, copy_url: str, context: TaskContext) -> str:
    """Say why an object may not be removed from where it was copied; empty if it may.

    Parameters
    ----------
    url : str
        Where it was.
    copy_url : str
        Where its copy is.
    context : TaskContext
    """
    if _without_driver(url) == _without_driver(copy_url):
        return f"{url} is the object itself, not a copy"
    if context.tier_name_of(url) is not None:
        in_bucket = url.endswith(CONTAINER_SUFFIX) and url.startswith(_BUCKETS)
        return f"{url} stays: a folder is copied, and not removed from a bucket" if in_bucket else ""
    try:
        path = _original(url, context)
    except (PermanentError, OutsideRootsError):
        return f"{url} stays: only what lies in a tier and plain files are removed once they are copied"
    if path.is_symlink() or path.is_dir():
        return f"{path} stays: it is a {'link' if path.is_symlink() else 'folder'}"
    landing = context.settings.roots.get(LANDING_ROOT)
    if landing is not None and path.is_relative_to(Path(landing).resolve()):
        return f"{url} stays: it was uploaded, and the server removes it when no object needs it any more"
    if path.is_relative_to(Path(context.settings.work_dir).resolve()):
        return f"{url} stays: it is the worker's own"
    return ""


def remove_left(leaving: Place, copy: Place, context: TaskContext) -> list[str]:
    """Remove an object from where it was, if its content is what was copied and the copy is there.

    Then the sidecars of its own, on the same terms; one that may not be removed stays.

    That it is gone already is fine. A copy that has gone is made again, and nothing is removed yet.

    Parameters
    ----------
    leaving : Place
        Where it was, with the hash of its content.
    copy : Place
        Where it is, in a tier that this worker's settings name.
    context : TaskContext

    Returns
    -------
    list of str
        Why sidecars stay.

    Raises
    ------
    TransientError, PermanentError
        Then it is where it was.
    """
    tier = context.tier_name_of(copy.url)
    if tier is None or leaving.sha256 is None:
        raise PermanentError(
            f"{copy.url} is in no tier of this worker's settings, so that nobody can tell whether the copy "
            "is there; name the tier under `tiers:`"
        )
    storage = context.tier(tier)
    try:
        _remove(leaving.url, leaving.sha256, copy.url, storage, context)
    except _CopyMissingError as error:
        again = storage.put(
            context.local_file(leaving.url),
            stream_id=context.stream_id,
            source_id=context.source_id,
            sha256=leaving.sha256,
        )
        if again.url != copy.url:
            raise
        # Not removed as well: if this attempt's lease ended long ago, the object may have been moved back.
        raise TransientError(
            f"the copy {copy.url} was gone and was made again; {leaving.url} is removed next"
        ) from error
    return _remove_sidecars(leaving, copy, storage, context)


def _remove_sidecars(leaving: Place, copy: Place, storage: TierStorage, context: TaskContext) -> list[str]:
    stays = []
    for sidecar in leaving.sidecars or ():
        try:
            _remove(sidecar.url, sidecar.sha256, copy.url_of_sidecar(sidecar.source_url), storage, context)
        except PermanentError as error:
            stays.append(str(error))
    return stays


def _remove(url: str, sha256: str, copy_url: str, storage: TierStorage, context: TaskContext) -> None:
    def confirm() -> None:
        if not storage.holds(copy_url, sha256):
            raise _CopyMissingError(f"{url} stays: its copy is not there any more, {copy_url}")

    if reason := why_it_stays(url, copy_url, context):
        raise PermanentError(reason)
    if (tier := context.tier_name_of(url)) is not None:
        context.tier(tier).remove(url, sha256, confirm=confirm)
    else:
        remove_copied(_original(url, context), sha256=sha256, confirm=confirm)


def _original(url: str, context: TaskContext) -> Path:
    """Find the file that a URL names, which need not be there, in a folder that may be read."""
    path = Path(context.roots.path_of(url))
    try:
        return local_path(file_url(path.parent), context.roots) / path.name
    except SourceMissingError:  # its folder is gone, and so is it
        return path


def _without_driver(url: str) -> str:
    """Leave out by which protocol a bucket is reached, since one may be reached by both."""
    scheme = next((scheme for scheme in _BUCKETS if url.startswith(scheme)), "")
    return url.removeprefix(scheme)
