"""Sources as local files: those on the net are fetched, whole and within a limit, or not at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, unquote

from haste_core.errors import BadInputError, PermanentError, SourceDeniedError, SourceMissingError
from haste_core.routing import SOURCE_SCHEMES, Roots, path_from_file_url
from haste_runtime.s3 import S3Connection
from haste_runtime.swift import SwiftConnection
from haste_runtime.tiers import S3Tier, SwiftTier
from haste_workers.durable import CONTAINER_SUFFIX, SUMS_SUFFIX, listed_files, sha256_of
from haste_workers.web import RemoteFile, web_file

DOWNLOAD_LIMIT_BYTES = 2 * 2**30

_REMOTE_SCHEMES = frozenset({"http", "https", "s3", "swift"})
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # one letter alone is a drive of Windows
_SUFFIX = re.compile(r"\.\w{1,11}\Z", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Which sources may be read, and how large those on the net may be.

    Attributes
    ----------
    roots : Roots
        The folders that ``root://`` names.
    hosts : collection of str, optional
        Those that ``http(s)://`` sources may be fetched from; None: any.
    buckets : mapping of S3Connection, optional
        Those that ``s3://`` sources may be fetched from, by name; None: any, reached as boto3 is set up.
    tiers : collection of S3Tier and SwiftTier
        What was put to them may be read too, and nothing beside it in the same bucket.
    limit_bytes : int
        Nothing larger is fetched.
    """

    roots: Roots = Roots({})  # noqa: RUF009 - immutable
    hosts: Collection[str] | None = None
    buckets: Mapping[str, S3Connection] | None = None
    tiers: Collection[S3Tier | SwiftTier] = ()
    limit_bytes: int = DOWNLOAD_LIMIT_BYTES


ANYWHERE = Access()
"""What a person's own process may read, and a worker may not."""


def is_url(source: str) -> bool:
    """Tell a URL from a path."""
    return bool(_scheme_of(source))


def is_remote(url: str) -> bool:
    """Tell whether a source has to be fetched."""
    return _scheme_of(url) in _REMOTE_SCHEMES


def fetch(url: str, folder: Path, access: Access) -> Path:
    """Stream an ``http(s)://``, ``s3://`` or ``swift://`` source into a folder.

    Parameters
    ----------
    url : str
        Percent-encoded where a name holds ``%``; a ``+`` is a plus. If it ends with ``.zarr``, it is a
        container, as tiers keep them: beside it, under its name and ``.sha256sums``, is a list of its files.
    folder : Path
        Exists already.
    access : Access

    Returns
    -------
    Path
        The file or folder, complete; its suffix is that of the source.

    Raises
    ------
    SourceDeniedError
        403: the host or the bucket is none of those that are allowed, or its server refuses.
    SourceMissingError
        404: it is not there.
    BadInputError
        502: it is larger than the limit.
    TransientError
        503: the server is away or in trouble, or the connection was cut.
    PermanentError
        500: the server does not answer as it should, or boto3 is missing.
    """
    if url.endswith(CONTAINER_SUFFIX):
        return _fetch_container(url, folder, access)
    suffix = _SUFFIX.search(unquote(re.split(r"[?#]", url)[0]))
    target = folder / f"source{suffix[0] if suffix else ''}"
    with _opened(url, access) as source:
        _save(source, target, url=url, limit_bytes=access.limit_bytes)
    return target


def _fetch_container(url: str, folder: Path, access: Access) -> Path:
    target = folder / f"source{CONTAINER_SUFFIX}"
    list_url = f"{url}{SUMS_SUFFIX}"
    try:
        sums = fetch(list_url, folder, access).read_bytes()
    except SourceMissingError as error:
        raise SourceMissingError(
            f"{url} is a folder, and the list of its files is not there ({error}); a folder that no tier has "
            "put there can only be read from a disk"
        ) from error
    size_bytes = 0
    for name, sha256 in listed_files(sums).items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with _opened(f"{url}/{quote(name)}", access) as source:
            _save(source, file, url=url, limit_bytes=access.limit_bytes)
        size_bytes += file.stat().st_size
        _refuse_large(url, size_bytes, access.limit_bytes)
        if sha256_of(file) != sha256:
            raise BadInputError(f"{url}: {name} is not what the list of its files says; it is damaged")
    target.mkdir(exist_ok=True)
    return target


@contextmanager
def local_file(source: str | Path, access: Access = ANYWHERE) -> Iterator[Path]:
    """Have any source as a local file; for a person's own process, since any local path is allowed.

    Handlers ask `TaskContext.source_path`, which keeps to what the worker's settings allow.

    Parameters
    ----------
    source : str or Path
        A path, or a ``file://``, ``root://``, ``http(s)://`` or ``s3://`` URL.
    access : Access

    Yields
    ------
    Path
        What was fetched is gone afterwards.

    Raises
    ------
    SourceDeniedError, SourceMissingError, BadInputError, TransientError, PermanentError
        As `fetch` does.
    """
    if isinstance(source, Path) or not is_url(source):
        yield Path(source)
    elif is_remote(source):
        with TemporaryDirectory(prefix="haste-") as folder:
            yield fetch(source, Path(folder), access)
    else:
        yield _named_path(source, access.roots)


def _scheme_of(url: str) -> str:
    found = _URL.match(url)
    return found[1].lower() if found else ""


def _named_path(url: str, roots: Roots) -> Path:
    scheme = _scheme_of(url)
    if scheme not in SOURCE_SCHEMES:
        raise SourceDeniedError(f"{url}: a source is a path, or a URL of {', '.join(sorted(SOURCE_SCHEMES))}")
    try:
        return Path(path_from_file_url(url) if scheme == "file" else roots.path_of(url))
    except ValueError as error:
        raise SourceDeniedError(
            f"{error}; tell its folder, access=Access(roots=Roots.parse({{'NAME': 'FOLDER'}})), "
            "or give the file's path"
        ) from error


def _opened(url: str, access: Access) -> AbstractContextManager[RemoteFile]:
    scheme = _scheme_of(url)
    if scheme not in ("s3", "swift"):
        return web_file(url, access.hosts)
    area, key = _area_and_key(url)
    tiers = [tier for tier in access.tiers if tier.driver == scheme and _holds(tier, area, key)]
    try:  # boto3 and swiftclient are extras
        if scheme == "s3":
            from haste_workers.s3 import s3_file

            return s3_file(url, bucket=area, key=key, connection=_connection_to(area, url, access, tiers))
        from haste_workers.swift import swift_file

        return swift_file(url, container=area, key=key, connection=_swift_connection_to(url, tiers))
    except ImportError as error:
        raise PermanentError(
            f"{url}: {scheme} needs a library that is not installed here ({error}); "
            f"install it at the worker, or where you run this: pip install 'haste-server[{scheme}]'"
        ) from error


def _area_and_key(url: str) -> tuple[str, str]:
    """Read ``s3://bucket/key``; a key may hold ``?`` and ``#`` as they are, since nothing can follow it."""
    scheme, _, rest = url.partition("://")
    area, _, key = rest.partition("/")
    if not area or not key:
        form = "s3://BUCKET/KEY" if scheme.lower() == "s3" else "swift://CONTAINER/NAME"
        raise BadInputError(f"{url} names no file: it should be {form}")
    return area, unquote(key)


def _holds(tier: S3Tier | SwiftTier, area: str, key: str) -> bool:
    # Some gateways follow the ".." of a key, which no name in a tier has.
    is_below = not tier.prefix or key.startswith(f"{tier.prefix}/")
    return tier.area == area and is_below and ".." not in key.split("/")


def _connection_to(
    bucket: str, url: str, access: Access, tiers: Sequence[S3Tier | SwiftTier]
) -> S3Connection:
    if access.buckets is None:
        return S3Connection()
    if bucket in access.buckets:
        return access.buckets[bucket]
    for tier in tiers:
        if isinstance(tier, S3Tier):
            return tier.connection
    raise SourceDeniedError(
        f"{url}: nothing may be downloaded from the bucket {bucket!r} here; "
        "to allow it, name it under `s3_buckets:` in the worker's settings"
    )


def _swift_connection_to(url: str, tiers: Sequence[S3Tier | SwiftTier]) -> SwiftConnection:
    for tier in tiers:
        if isinstance(tier, SwiftTier):
            return tier.connection
    raise SourceDeniedError(
        f"{url} is not in a tier of this worker's settings; nothing else in Swift is read"
    )


def _save(source: RemoteFile, target: Path, *, url: str, limit_bytes: int) -> None:
    _refuse_large(url, source.size_bytes or 0, limit_bytes)
    size_bytes = 0
    with target.open("wb") as file:
        for chunk in source.chunks:
            size_bytes += len(chunk)
            _refuse_large(url, size_bytes, limit_bytes)
            file.write(chunk)


def _refuse_large(url: str, size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise BadInputError(
            f"{url} is larger than {limit_bytes} bytes, the limit of a download "
            "(`download_limit_bytes` in the worker's settings, or Access.limit_bytes)"
        )
