"""Files in S3 buckets. Importing this needs boto3, which the extra ``s3`` installs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, beside HTTPClientError
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
)
from urllib3.exceptions import HTTPError

from haste_core.errors import (
    HasteError,
    PermanentError,
    SourceDeniedError,
    SourceMissingError,
    TransientError,
)
from haste_runtime.loopback import is_this_machine
from haste_runtime.s3 import S3Connection
from haste_workers.web import (
    CHUNK_BYTES,
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    UNTOLD_END,
    RemoteFile,
    failure_of,
)

PASSING = (
    ConnectionError,
    HTTPClientError,
    HTTPError,
    IncompleteReadError,
    FlexibleChecksumError,
    CredentialRetrievalError,
    MetadataRetrievalError,
)
"""Trouble with the connection, not with what was asked."""


@lru_cache
def client_of(connection: S3Connection) -> Any:
    """Return the client of a connection; making one takes 0.1 s, and it keeps its connections open.

    Raises
    ------
    botocore.exceptions.NoCredentialsError
        If there is no key, neither in the connection nor where boto3 looks for one.
    """
    secret = connection.secret_access_key
    session = boto3.Session(
        region_name=connection.region,
        aws_access_key_id=connection.access_key_id,
        aws_secret_access_key=None if secret is None else secret.get_secret_value(),
    )
    if not connection.anonymous and session.get_credentials() is None:
        raise NoCredentialsError
    endpoint_url = connection.endpoint_url
    return session.client(
        "s3",
        endpoint_url=endpoint_url,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": 2},
            signature_version=UNSIGNED if connection.anonymous else None,
            proxies={} if endpoint_url is not None and is_this_machine(endpoint_url) else None,
        ),
    )


@contextmanager
def s3_file(url: str, *, bucket: str, key: str, connection: S3Connection) -> Iterator[RemoteFile]:
    """Open an object.

    Parameters
    ----------
    url : str
        For messages.
    bucket, key : str
    connection : S3Connection

    Raises
    ------
    SourceDeniedError, SourceMissingError, TransientError, PermanentError
        Also while it is read.
    """
    try:
        answer = client_of(connection).get_object(Bucket=bucket, Key=key)
        with closing(answer["Body"]) as body:
            if "ContentLength" not in answer:
                raise PermanentError(UNTOLD_END.format(url))
            yield RemoteFile(answer["ContentLength"], body.iter_chunks(CHUNK_BYTES))
    except ClientError as error:
        failure = _refusal(url, error)
        if connection.access_key_id is None and not isinstance(failure, SourceMissingError | TransientError):
            # The key that boto3 found may have expired: the next request looks for it again.
            client_of.cache_clear()
        raise failure from error
    except PASSING as error:
        raise TransientError(f"{url} cannot be fetched now: {error}") from error
    except NoCredentialsError as error:
        raise SourceDeniedError(
            f"{url}: there is no key for this bucket. Give access_key_id and secret_access_key under "
            "`s3_buckets:` in the worker's settings, or `anonymous: true` for a public bucket; "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    except BotoCoreError as error:
        raise PermanentError(f"{url} cannot be fetched: {error}") from error


def _refusal(url: str, error: ClientError) -> HasteError:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    said = error.response["Error"]
    failure = failure_of(status)
    message = f"{url}: its server says {status} {said.get('Code', '')}: {said.get('Message', '')}"
    if failure is SourceDeniedError:
        message += "; where listing the bucket is not allowed either, a missing file is told like this too"
    return failure(message)
