"""Jobs of files that arrive: one for each content of each object of a stream, however often it is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from haste_core.errors import InvalidError, NotFoundError
from haste_core.jobspec import JobSpec, check_size, parse_job_spec
from haste_core.messages import Place
from haste_core.pipelines import Pipeline
from haste_core.ports import Clock
from haste_core.stores import JobFilter, JobStore, Refused, StreamStore
from haste_core.uploads import UploadMetadata

_PAGE = 100


@dataclass(frozen=True)
class Arrivals:
    """Submits what was uploaded to the pipeline of its stream.

    Attributes
    ----------
    default_pipeline : Pipeline
        Of streams that nobody has created.
    wake : callable
        Tells the engine that tasks may be ready.
    """

    jobs: JobStore
    streams: StreamStore
    default_pipeline: Pipeline
    wake: Callable[[], None]
    clock: Clock

    def check(self, said: UploadMetadata, *, site: str, sidecars: Sequence[str] = ()) -> None:
        """Refuse early what could not be submitted in the end; `sidecars` are URLs.

        Raises
        ------
        InvalidError
        """
        self._spec(said, Place(url="root://landing/unknown", site=site, sha256="0" * 64), sidecars)

    def job_of(self, said: UploadMetadata, sha256: str) -> int | None:
        """Find the job of an object with this content."""
        source_id = said.source_id or said.filename
        cursor: str | None = None
        while True:
            page = self.jobs.jobs(JobFilter(said.stream, source_id), cursor=cursor, limit=_PAGE)
            for job in page.items:
                if job.spec.source_version == sha256:
                    return job.job_id
            cursor = page.next
            if cursor is None:
                return None

    def submit(
        self,
        said: UploadMetadata,
        place: Place,
        sidecars: Sequence[str] = (),
        projects: Sequence[str] | None = None,
    ) -> int:
        """Store the job of an uploaded file, or find the one that is there, with the sidecars that it had.

        Parameters
        ----------
        said : UploadMetadata
        place : Place
            Of the file.
        sidecars : sequence of str
            The URLs of its sidecars.
        projects : sequence of str, optional
            Those of its sender.

        Raises
        ------
        ConflictError
            If its stream belongs to another project by now.
        InvalidError
            If the stream's pipeline cannot take it.
        """
        spec = self._spec(said, place, sidecars)
        (answer,) = self.jobs.submit([spec], now=self.clock(), projects=projects)
        if isinstance(answer, Refused):
            raise InvalidError(answer.problems)
        if answer.created:
            self.wake()
        return answer.job_id

    def _spec(self, said: UploadMetadata, place: Place, sidecars: Sequence[str]) -> JobSpec:
        fields = {
            **said.spec_fields,
            "source_url": place.url,
            "source_version": place.sha256,
            "sidecars": tuple(sidecars),
            "site": place.site,
            "tasks": self._pipeline(said.stream).tasks,
        }
        spec = parse_job_spec(fields)
        check_size(spec)
        return spec

    def _pipeline(self, stream_id: str) -> Pipeline:
        try:
            return self.streams.stream(stream_id).pipeline
        except NotFoundError:
            return self.default_pipeline
