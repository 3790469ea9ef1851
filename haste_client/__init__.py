"""The client library: submit images, follow their jobs.

Light enough for the microscope's own PC: no numpy, no image libraries.
"""

from haste_client.alerts import AlertAnswer
from haste_client.client import HasteClient
from haste_client.directory import ImageFile
from haste_client.errors import AccessDeniedError, OutageError, ServerError, ServerUnreachableError
from haste_client.events import StreamEvent
from haste_client.naming import NamedFiles, Unparsed, UnparsedNamesError
from haste_client.priorities import ImageView, Known
from haste_client.results import Result
from haste_client.submission import Submission
from haste_client.totals import SubmissionProgress
from haste_core.errors import (
    ConflictError,
    HasteError,
    InvalidError,
    NotFoundError,
    OutcomeUnknownError,
    Problem,
    TransientError,
)

__all__ = [
    "AccessDeniedError",
    "AlertAnswer",
    "ConflictError",
    "HasteClient",
    "HasteError",
    "ImageFile",
    "ImageView",
    "InvalidError",
    "Known",
    "NamedFiles",
    "NotFoundError",
    "OutageError",
    "OutcomeUnknownError",
    "Problem",
    "Result",
    "ServerError",
    "ServerUnreachableError",
    "StreamEvent",
    "Submission",
    "SubmissionProgress",
    "TransientError",
    "Unparsed",
    "UnparsedNamesError",
]
