"""The lab's server, as the agent sees it: one stream of it, made by a tag."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from haste_apps.agent.settings import PREFIX, AgentSettings
from haste_client.answers import StreamAnswer
from haste_client.connection import Connection
from haste_client.errors import AccessDeniedError, CertificateError
from haste_client.streams import StreamCalls
from haste_core.errors import ConflictError, InvalidError, NotFoundError, Problem

_RETRY_FOR_S = 3.0


class CentralServer(StreamCalls):
    """One connection to it.

    Parameters
    ----------
    settings : AgentSettings
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        token = settings.read_token()
        self._connection = Connection(
            settings.host,
            token=None if token is None else token.get_secret_value(),
            retry_for_s=_RETRY_FOR_S,
            ca_file=settings.ca_file,
            proxy=settings.proxy,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def find_pipeline(self) -> str:
        """Name the pipeline that the tag stands for.

        Raises
        ------
        InvalidError
            With what to do: about the token, the certificate, the tag, or the address.
        TransientError
            If the server is away.
        """
        host, tag = self._settings.host, self._settings.tag
        try:
            offered = self.pipelines()
        except AccessDeniedError as error:
            raise InvalidError([Problem("--token", _token_text(self._settings, error))]) from error
        except CertificateError as error:
            what = f"{error}: give that file with --ca"
            raise InvalidError([Problem("--host", what)]) from error
        except NotFoundError as error:
            raise InvalidError([Problem("--host", f"{host} is no HASTE server: {error}")]) from error
        named = [pipeline.name for pipeline in offered if tag in pipeline.tags]
        if not named:
            known = ", ".join(sorted(known for pipeline in offered for known in pipeline.tags)) or "none"
            what = (
                f"{host} knows no tag {tag!r} (known: {known}); take one of these, or have whoever runs "
                "it name a pipeline for yours under `agent_tags:` in its settings"
            )
            raise InvalidError([Problem("--tag", what)])
        return named[0]

    def join(self) -> StreamAnswer:
        """Make the stream, or join it.

        Raises
        ------
        InvalidError, TransientError
            As `find_pipeline`.
        """
        stream_id, tag = self._settings.stream_id, self._settings.tag
        try:
            return self.create_stream(stream_id, pipeline=self.find_pipeline())
        except AccessDeniedError as error:
            raise InvalidError([Problem("--token", _token_text(self._settings, error))]) from error
        except ConflictError as error:
            what = f"{stream_id!r} is there, but not as tag {tag!r} makes it: choose another name ({error})"
            raise InvalidError([Problem("--stream", what)]) from error


def _token_text(settings: AgentSettings, error: AccessDeniedError) -> str:
    shown = "does not accept this token" if settings.read_token() else "wants a token"
    why = str(error).partition(";")[0]
    return (
        f"{settings.host} {shown} ({why}): ask whoever runs it for one, and give it by --token-file FILE, "
        f"{PREFIX}TOKEN, or --password with the token"
    )
