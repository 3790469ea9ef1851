"""Streams: made, looked at, completed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from haste_client.answers import KnownSource, PipelineName, StreamAnswer
from haste_client.images import ImageCalls, Stream

_SOURCES_PAGE, _STREAMS_PAGE = 10_000, 100


class StreamCalls(ImageCalls):
    """The calls of `HasteClient` that are about streams."""

    def create_stream(
        self,
        stream_id: str,
        *,
        pipeline: str = "focus-tier",
        mode: str | None = None,
        project: str | None = None,
    ) -> StreamAnswer:
        """Make a stream, or join the one that is there.

        Parameters
        ----------
        stream_id : str
        pipeline : str
            What happens to its images.
        mode : {"observe", "enforce"}, optional
            Default: a new stream observes, one that is there keeps its own.
        project : str, optional
            Default: a new stream belongs to the first of the token's.

        Returns
        -------
        StreamAnswer

        Raises
        ------
        ConflictError
            If it is there with another pipeline, mode or project.
        """
        body = {"stream_id": stream_id, "pipeline": pipeline, "mode": mode, "project": project}
        return StreamAnswer.model_validate(self._connection.post("/HASTE/stream/", body))

    def stream(self, stream_id: str) -> Stream:
        """Fetch a stream with its progress and its tiers.

        Parameters
        ----------
        stream_id : str

        Returns
        -------
        Stream
            It leads to its images, as `Stream.images` or as a table of pandas.

        Raises
        ------
        NotFoundError
            If there is no such stream.
        """
        answer = self._connection.get(f"/HASTE/stream/{quote(stream_id)}")
        return Stream.of(answer, self.images, self.complete_stream)

    def streams(self) -> Iterator[StreamAnswer]:
        """Go through all streams.

        Yields
        ------
        StreamAnswer
        """
        for stream in self._connection.pages("/HASTE/stream/", "streams", limit=_STREAMS_PAGE):
            yield StreamAnswer.model_validate(stream)

    def complete_stream(self, stream_id: str) -> StreamAnswer:
        """Say that no more images come to a stream; said again, it changes nothing.

        Image sets then no longer wait for images that were not submitted, and silence is no alert. An image
        that is submitted later is taken, and opens the stream again.

        Parameters
        ----------
        stream_id : str

        Returns
        -------
        StreamAnswer
        """
        path = f"/HASTE/stream/{quote(stream_id)}/complete"
        return StreamAnswer.model_validate(self._connection.post(path))

    def sources(self, stream_id: str) -> Iterator[KnownSource]:
        """Go through the objects that were submitted to a stream.

        Parameters
        ----------
        stream_id : str

        Yields
        ------
        KnownSource
            One for each version of an object.
        """
        path = f"/HASTE/stream/{quote(stream_id)}/sources"
        for source in self._connection.pages(path, "sources", limit=_SOURCES_PAGE):
            yield KnownSource.model_validate(source)

    def pipelines(self) -> list[PipelineName]:
        """List the pipelines that the server offers.

        Returns
        -------
        list of PipelineName
        """
        answer = self._connection.get("/HASTE/pipelines/")
        return [PipelineName.model_validate(item) for item in answer["pipelines"]]
