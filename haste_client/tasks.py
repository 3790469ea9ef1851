"""Tasks: the steps of jobs, looked at, run again, ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from haste_client.answers import PriorityAnswer, TaskAnswer
from haste_client.bulk_actions import BulkActionAnswer, TaskChoice, act_on_many
from haste_client.connection import Connection


class TaskCalls:
    """The calls of `HasteClient` that are about tasks."""

    _connection: Connection

    def task(self, task_id: int) -> TaskAnswer:
        """Fetch one task, with its attempts.

        Parameters
        ----------
        task_id : int

        Returns
        -------
        TaskAnswer

        Raises
        ------
        NotFoundError
            If there is no such task.
        """
        return TaskAnswer.model_validate(self._connection.get(f"/HASTE/task/{task_id}")["Task"])

    def retry_task(self, task_id: int, *, force: bool = False) -> TaskAnswer:
        """Run a failed task again.

        Parameters
        ----------
        task_id : int
        force : bool
            Whatever its state is.

        Returns
        -------
        TaskAnswer
            As it is then.

        Raises
        ------
        ConflictError
            If it has not failed, and is not forced.
        OutcomeUnknownError
            If the answer was lost.
        """
        path = f"/HASTE/task/{task_id}/{'forceretry' if force else 'retry'}"
        return TaskAnswer.model_validate(self._connection.post_at_most_once(path)["Task"])

    def reset_task(self, task_id: int) -> TaskAnswer:
        """Take a task back to its beginning; it waits there until somebody asks for a retry.

        Parameters
        ----------
        task_id : int

        Returns
        -------
        TaskAnswer
            As it is then.
        """
        return TaskAnswer.model_validate(self._connection.post(f"/HASTE/task/{task_id}/reset")["Task"])

    def retry_tasks(
        self,
        task_ids: Sequence[int] | None = None,
        *,
        force: bool = False,
        **chosen_by: Unpack[TaskChoice],
    ) -> BulkActionAnswer:
        """Run many tasks again.

        Parameters
        ----------
        task_ids : sequence of int, optional
        force : bool
            Whatever their state is; a choice that is not by numbers must name it then.
        **chosen_by
            Instead of numbers, as of `HasteClient.retry_jobs`.

        Returns
        -------
        BulkActionAnswer

        Raises
        ------
        OutcomeUnknownError
            If an answer was lost.
        """
        path = f"/HASTE/tasks/{'forceretry' if force else 'retry'}"
        return act_on_many(self._connection.post_at_most_once, path, "task_ids", task_ids, chosen_by)

    def reset_tasks(
        self,
        task_ids: Sequence[int] | None = None,
        **chosen_by: Unpack[TaskChoice],
    ) -> BulkActionAnswer:
        """Take many tasks back to their beginning.

        Parameters
        ----------
        task_ids : sequence of int, optional
        **chosen_by
            Instead of numbers, as of `HasteClient.retry_jobs`; it must name a state.

        Returns
        -------
        BulkActionAnswer
        """
        return act_on_many(self._connection.post, "/HASTE/tasks/reset", "task_ids", task_ids, chosen_by)

    def set_task_priorities(self, priorities: Mapping[int, float | None]) -> PriorityAnswer:
        """Give tasks priorities of their own.

        Parameters
        ----------
        priorities : mapping of int to float or None
            By the tasks' numbers, at most 10,000; None: their job's again.

        Returns
        -------
        PriorityAnswer
        """
        body = {"tasks": {str(task_id): priority for task_id, priority in priorities.items()}}
        return PriorityAnswer.model_validate(self._connection.patch("/HASTE/priority", body))
