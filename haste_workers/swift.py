"""Files in OpenStack Swift. Importing this needs swiftclient, which the extra ``swift`` installs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any

import requests
from keystoneauth1.exceptions import ClientException as KeystoneError
from keystoneauth1.exceptions import ConnectionError as KeystoneAwayError
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from swiftclient import ClientException, Connection
from urllib3.exceptions import HTTPError

from haste_core.errors import HasteError, TransientError
from haste_runtime.swift import SwiftConnection
from haste_workers.web import CHUNK_BYTES, READ_TIMEOUT_S, RemoteFile, failure_of

REFUSALS = (ClientException, KeystoneError)
"""What is raised when a server answers, and says no."""

PASSING = (requests.RequestException, HTTPError, KeystoneAwayError, OSError)
"""Trouble with the connection, not with what was asked."""


def client_of(connection: SwiftConnection) -> Any:
    """Return the client of a connection in this thread; it gets a new token when the old one expires."""
    return _client_of(connection, threading.get_ident())


@lru_cache
def _client_of(connection: SwiftConnection, _thread_id: int) -> Any:
    options = {"timeout": READ_TIMEOUT_S, "retries": 1, "os_options": {"region_name": connection.region}}
    key = connection.key.get_secret_value()
    if connection.application_credential_id is not None:
        method = v3.ApplicationCredentialMethod(
            application_credential_id=connection.application_credential_id, application_credential_secret=key
        )
        right = v3.Auth(connection.auth_url, [method])
    elif connection.project is not None:
        right = v3.Password(
            connection.auth_url,
            username=connection.user,
            password=key,
            project_name=connection.project,
            user_domain_name=connection.user_domain,
            project_domain_name=connection.project_domain,
        )
    else:
        return Connection(authurl=connection.auth_url, user=connection.user, key=key, **options)
    return Connection(session=Session(auth=right, timeout=READ_TIMEOUT_S), **options)


def status_of(error: Exception) -> int:
    """Return the HTTP status of a refusal; 0 if it has none."""
    return int(getattr(error, "http_status", None) or 0)


@contextmanager
def swift_file(url: str, *, container: str, key: str, connection: SwiftConnection) -> Iterator[RemoteFile]:
    """Open an object.

    Parameters
    ----------
    url : str
        For messages.
    container, key : str
    connection : SwiftConnection

    Raises
    ------
    SourceDeniedError, SourceMissingError, TransientError, PermanentError
        Also while it is read.
    """
    try:
        headers, body = client_of(connection).get_object(container, key, resp_chunk_size=CHUNK_BYTES)
        with closing(body):
            size_bytes = int(headers["content-length"])
            yield RemoteFile(size_bytes, _whole(body, size_bytes, url))
    except REFUSALS as error:
        raise _refusal(url, error) from error
    except PASSING as error:
        raise TransientError(f"{url} cannot be fetched now: {error}") from error


def _whole(body: Iterator[bytes], size_bytes: int, url: str) -> Iterator[bytes]:
    read_bytes = 0
    for chunk in body:
        read_bytes += len(chunk)
        yield chunk
    if read_bytes != size_bytes:
        raise TransientError(
            f"{url} cannot be fetched now: it ended after {read_bytes} of {size_bytes} bytes"
        )


def _refusal(url: str, error: Exception) -> HasteError:
    if isinstance(error, KeystoneAwayError):
        return TransientError(f"{url} cannot be fetched now: {error}")
    return failure_of(status_of(error))(f"{url}: its server says: {error}")
