"""Jobs: submitted, looked at, run again, cancelled, ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack
from urllib.parse import quote

from haste_client.answers import BulkAnswer, JobAnswer, PriorityAnswer
from haste_client.bulk_actions import BulkActionAnswer, TaskChoice, act_on_many
from haste_client.connection import Connection
from haste_core.errors import InvalidError, Problem

BULK_LIMIT = 1000
_STATE_WORDS = ("open", "done", "failed")
_PAGE = 1000


class JobCalls:
    """The calls of `HasteClient` that are about jobs."""

    _connection: Connection

    def submit_job(self, spec: Mapping[str, Any]) -> JobAnswer:
        """Submit one job spec.

        Parameters
        ----------
        spec : mapping
            The job as JSON: ``source_url``, ``source_id`` and ``tasks`` at least.

        Returns
        -------
        JobAnswer
            The new job, or the one that is there, if the object was submitted to the stream before.

        Raises
        ------
        InvalidError
            With everything that is wrong with it.
        """
        return JobAnswer.model_validate(self._connection.post("/HASTE/job/", dict(spec)))

    def submit_jobs(self, specs: Sequence[Mapping[str, Any]]) -> list[BulkAnswer]:
        """Submit many job specs; each is accepted or refused on its own.

        Parameters
        ----------
        specs : sequence of mapping
            As of `submit_job`; they are sent in parts of `BULK_LIMIT`.

        Returns
        -------
        list of BulkAnswer
            In the order of `specs`.
        """
        answers: list[BulkAnswer] = []
        for start in range(0, len(specs), BULK_LIMIT):
            part = [dict(spec) for spec in specs[start : start + BULK_LIMIT]]
            answer = self._connection.post("/HASTE/jobs/", {"jobs": part})
            answers += [BulkAnswer.model_validate(item) for item in answer["results"]]
        return answers

    def job(self, job_id: int) -> JobAnswer:
        """Fetch one job with the present states of its tasks.

        Parameters
        ----------
        job_id : int

        Returns
        -------
        JobAnswer

        Raises
        ------
        NotFoundError
            If there is no such job.
        """
        return JobAnswer.model_validate(self._connection.get(f"/HASTE/job/{job_id}"))

    def jobs(
        self,
        *,
        stream_id: str | None = None,
        state: str | int | None = None,
        source_id: str | None = None,
        ended_since: float | None = None,
    ) -> Iterator[JobAnswer]:
        """Go through jobs, page by page.

        Parameters
        ----------
        stream_id, source_id : str, optional
            Only of this stream, of this object.
        state : {"open", "done", "failed"} or int, optional
            A word, or one code.
        ended_since : float, optional
            Only jobs that ended at or after this time (seconds since 1970), in the order of their ends.

        Yields
        ------
        JobAnswer
            In the order of submission, if not by their ends.

        Raises
        ------
        InvalidError
            If `state` is another word.
        """
        if isinstance(state, str) and state not in _STATE_WORDS and not state.isdecimal():
            words = ", ".join(_STATE_WORDS)
            raise InvalidError([Problem("state", f"{state!r} is none of {words}, nor a code such as 502")])
        wanted = {"stream_id": stream_id, "state": state, "source_id": source_id, "ended_since": ended_since}
        for job in self._connection.pages("/HASTE/jobs/", "jobs", params=wanted, limit=_PAGE):
            yield JobAnswer.model_validate(job)

    def jobs_in_progress(self) -> Iterator[int]:
        """Go through the ids of all open jobs.

        Yields
        ------
        int
        """
        return self._connection.pages("/HASTE/job/inprogress", "jobs", limit=_PAGE)

    def search(self, source_id: str) -> Iterator[int]:
        """Go through the ids of all jobs of one object, in any stream.

        Parameters
        ----------
        source_id : str

        Yields
        ------
        int
        """
        return self._connection.pages(f"/HASTE/search/{quote(source_id)}", "jobs", limit=_PAGE)

    def retry_job(self, job_id: int) -> JobAnswer:
        """Run the failed tasks of a job again; those that are done do not run.

        Parameters
        ----------
        job_id : int

        Returns
        -------
        JobAnswer
            As it is then.

        Raises
        ------
        ConflictError
            If it has no such tasks.
        OutcomeUnknownError
            If the answer was lost.
        """
        return JobAnswer.model_validate(self._connection.post_at_most_once(f"/HASTE/job/{job_id}/retry"))

    def cancel_job(self, job_id: int) -> JobAnswer:
        """End all tasks of a job that are open.

        Parameters
        ----------
        job_id : int

        Returns
        -------
        JobAnswer
            As it is then.

        Raises
        ------
        ConflictError
            If it has ended.
        """
        return JobAnswer.model_validate(self._connection.post(f"/HASTE/job/{job_id}/cancel"))

    def retry_jobs(
        self,
        job_ids: Sequence[int] | None = None,
        **chosen_by: Unpack[TaskChoice],
    ) -> BulkActionAnswer:
        """Run the failed tasks of many jobs again: by their numbers, or of those that have such tasks.

        Parameters
        ----------
        job_ids : sequence of int, optional
        **chosen_by
            Instead of numbers: ``stream_id``, ``task_key``, ``site``, and ``state``, which is "open", "done",
            "failed" or a code; by default that of all that can be retried.

        Returns
        -------
        BulkActionAnswer

        Raises
        ------
        OutcomeUnknownError
            If an answer was lost.
        """
        return act_on_many(
            self._connection.post_at_most_once, "/HASTE/jobs/retry", "job_ids", job_ids, chosen_by
        )

    def cancel_jobs(
        self,
        job_ids: Sequence[int] | None = None,
        **chosen_by: Unpack[TaskChoice],
    ) -> BulkActionAnswer:
        """End what is open of many jobs.

        Parameters
        ----------
        job_ids : sequence of int, optional
        **chosen_by
            Instead of numbers, as of `retry_jobs`.

        Returns
        -------
        BulkActionAnswer
        """
        return act_on_many(self._connection.post, "/HASTE/jobs/cancel", "job_ids", job_ids, chosen_by)

    def delete_job(self, job_id: int) -> None:
        """Cancel a job and forget it.

        Parameters
        ----------
        job_id : int

        Raises
        ------
        NotFoundError
            If there is no such job.
        """
        self._connection.delete(f"/HASTE/job/{job_id}")

    def set_priorities(self, priorities: Mapping[int, float]) -> PriorityAnswer:
        """Change the priorities of jobs; it counts from the next hand-out on.

        Parameters
        ----------
        priorities : mapping of int to float
            By the jobs' numbers, at most 10,000; the higher, the earlier.

        Returns
        -------
        PriorityAnswer

        Raises
        ------
        NotFoundError
            If none of them is there.
        """
        body = {str(job_id): priority for job_id, priority in priorities.items()}
        return PriorityAnswer.model_validate(self._connection.patch("/HASTE/priority", body))

    def set_priorities_by_index(self, stream_id: str, priorities: Mapping[int, float]) -> PriorityAnswer:
        """Change the priorities of a stream's jobs by the images' numbers.

        Parameters
        ----------
        stream_id : str
        priorities : mapping of int to float
            As of `set_priorities`, by the images' numbers in the stream.

        Returns
        -------
        PriorityAnswer
        """
        numbered = {str(index): priority for index, priority in priorities.items()}
        body = {"stream_id": stream_id, "priorities": numbered}
        return PriorityAnswer.model_validate(self._connection.patch("/HASTE/priority", body))
