"""What may go once the lab's server has an image: what was made of it, and the original if that is wanted."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path

from haste_client.answers import JobAnswer
from haste_runtime.folders import deep_folder
from haste_workers.durable import sha256_of
from haste_workers.superseded import intermediate_folder


class Original(StrEnum):
    """What became of an original that was to be deleted."""

    DELETED = "deleted"
    GONE = "gone"
    ANOTHER = "another"  # written anew since; it is sent, too, and then deleted
    NEEDED = "needed"  # what the server has was made by an operator that loses something; or it is a folder


def delete_original(folder: Path, job: JobAnswer) -> Original:
    """Delete the original of an image that the server has confirmed, if it is still what was sent.

    Folders stay: what a program writes into one while it is deleted would be lost.

    Parameters
    ----------
    folder : Path
        That is watched.
    job : JobAnswer
        Done.

    Raises
    ------
    OSError
        If it may not be deleted, or is in use.
    """
    told = job.response.get("upload") or {}
    sha256 = told.get("original_sha256")
    if not job.done or not told.get("job_id") or not sha256 or told.get("lossless") is False:
        return Original.NEEDED
    path = deep_folder(folder.absolute()) / job.source_id
    sent = tuple((job.source_version or "").split("-")[:2])
    if path.is_dir():
        return Original.NEEDED
    try:
        if _version(path) != sent or sha256_of(path) != sha256 or _version(path) != sent:
            return Original.ANOTHER
        path.unlink()
    except FileNotFoundError:
        return Original.GONE
    return Original.DELETED


def clear_intermediate(server_dir: Path, job: JobAnswer) -> None:
    """Remove what `preprocess` wrote for a job that is done, and whose object is at the server."""
    if job.done and (job.response.get("upload") or {}).get("job_id"):
        work_dir = server_dir / "work"
        folder = intermediate_folder(work_dir, stream_id=job.stream_id, job_id=job.job_id)
        shutil.rmtree(folder, ignore_errors=True)


def _version(path: Path) -> tuple[str, str]:
    status = path.stat()
    return str(status.st_size), str(status.st_mtime_ns)
