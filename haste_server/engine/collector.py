"""Applies results, each once, and acknowledges them only when they are stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from haste_core.errors import TransientError
from haste_core.messages import Outcome, TaskResult
from haste_core.ports import Broker, Clock, ResultDelivery, StateChange, TaskStore, UndeliveredTask
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_server.changes import log_changes
from haste_server.engine.attendance import Attendance
from haste_server.engine.inbox import Letterbox
from haste_server.metrics.counts import Counts

log = structlog.get_logger(__name__)

BATCH = 200  # results in one transaction
WAIT_S = 0.5
LONGEST_PATIENCE_S = 0.025
SHORTEST_PATIENCE_S = 0.005  # a shorter one is hardly worth two changes of threads


class Collector:
    """Takes results and failed hand-outs from the broker to the store.

    Parameters
    ----------
    patient : bool
        Whether results of long tasks may wait a little for others. Not where workers have no task in store.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        broker: Broker,
        arrivals: Letterbox[ResultDelivery | UndeliveredTask],
        attendance: Attendance,
        released: Callable[[], None],
        patient: bool,
        counts: Counts,
        clock: Clock,
    ) -> None:
        self._patient = patient
        self._counts = counts
        self._store = store
        self._broker = broker
        self._arrivals = arrivals
        self._attendance = attendance
        self._released = released
        self._clock = clock
        self._pending: list[ResultDelivery | UndeliveredTask] = []

    def step(self) -> None:
        """Wait for arrivals and store one batch; it is kept for the next step if the database is away."""
        self._step(WAIT_S)

    def finish(self) -> None:
        """Store what has arrived, without waiting for more.

        If the database is away, the results stay unsettled: the broker brings them again.
        """
        try:
            while self._step(0):
                pass
        except TransientError as error:
            log.warning("results are left for later", action="results_left", trouble=str(error))

    def _step(self, timeout_s: float) -> bool:
        if not self._pending:
            self._pending = self._gather(timeout_s)
        if not self._pending:
            return False
        self._record([_as_result(arrival) for arrival in self._pending])
        self._broker.settle([item for item in self._pending if isinstance(item, ResultDelivery)])
        self._pending = []
        self._released()
        return True

    def _gather(self, timeout_s: float) -> list[ResultDelivery | UndeliveredTask]:
        """Take what has arrived and, where tasks are long, what comes soon after, to store it at once."""
        arrived = self._arrivals.take(BATCH, timeout_s=timeout_s)
        patience_s = _patience_s(arrived) if self._patient else 0.0
        if patience_s >= SHORTEST_PATIENCE_S:
            time.sleep(patience_s)
            arrived += self._arrivals.take(BATCH, timeout_s=0)
        return arrived

    def _record(self, results: Sequence[TaskResult]) -> None:
        try:
            changes = self._store.record(results, now=self._clock())
        except TransientError:
            raise
        except Exception:
            if len(results) == 1:
                results, changes = self._record_failure_instead(results[0])
            else:
                for result in results:  # one of them cannot be stored; the others must be
                    self._record([result])
                return
        log_changes(changes)
        self._counts.take_back(results, changes)
        routes = {change.task_id: Route(change.task_key, change.site) for change in changes}
        for result in results:
            if result.task_id in routes and result.duration_s is not None:
                self._attendance.note_duration(routes[result.task_id], result.duration_s)

    def _record_failure_instead(self, result: TaskResult) -> tuple[list[TaskResult], list[StateChange]]:
        log.exception("result cannot be stored", action="result_refused", task_id=result.task_id)
        failure = result.model_copy(
            update={
                "outcome": Outcome.ENDED,
                "state": TaskState.ERROR,
                "message": "the handler's answer could not be stored; the server's log has the reason",
                "response": {},
                "place": None,
                "leaving": None,
                "thumbnail": None,
            }
        )
        try:
            return [failure], self._store.record([failure], now=self._clock())
        except TransientError:
            raise
        except Exception:
            # Nothing of it can be stored. Its lease will end; what waits behind it must not wait for that.
            log.exception("result is given up", action="result_given_up", task_id=result.task_id)
            return [], []


def _patience_s(arrived: Sequence[ResultDelivery | UndeliveredTask]) -> float:
    """Tell how long results may wait so that no worker does: half of what the next tasks may take.

    There is one task in store at least for each that runs (`WINDOW_PER_SLOT`).
    """
    results = [_as_result(arrival) for arrival in arrived]
    shortest_s = min((result.duration_s or 0.0 for result in results), default=0.0)
    return min(shortest_s / 2, LONGEST_PATIENCE_S)


def _as_result(arrival: ResultDelivery | UndeliveredTask) -> TaskResult:
    if isinstance(arrival, ResultDelivery):
        return arrival.result
    return TaskResult(
        task_id=arrival.task_id,
        attempt=arrival.attempt,
        worker_id="",
        outcome=Outcome.HANDED_BACK,
        message=f"reached no worker: {arrival.reason}",
    )
