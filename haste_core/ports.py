"""What the programs need from stores, brokers and transports, in the words of the domain.

Each Protocol has a real and an in-process implementation; one contract suite runs on both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from haste_core.decisions import Decision
from haste_core.messages import AttemptKey, HeldAttempt, Presence, TaskMessage, TaskResult
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_core.tier_limits import TierLimits
from haste_core.undecided import Answer, Decided, SetMember, SetName, Undecided

Clock = Callable[[], float]
"""Seconds since 1970."""


@dataclass(frozen=True)
class ResultDelivery:
    """A result as it arrived at the engine; `token` settles it with the broker that delivered it."""

    result: TaskResult
    token: Hashable


@dataclass(frozen=True)
class UndeliveredTask:
    """A hand-out that reached no worker: returned, refused, or not confirmed before the connection broke."""

    task_id: int
    attempt: int
    reason: str


class BrokerListener(Protocol):
    """What an engine hears from its broker; called from the broker's threads, must return at once."""

    def result_arrived(self, delivery: ResultDelivery) -> None:
        """Take a result; it is delivered again until it is settled."""

    def presence_arrived(self, presence: Presence) -> None:
        """Take a worker's heartbeat."""

    def hand_out_failed(self, undelivered: UndeliveredTask) -> None:
        """Take back a task whose message reached no worker."""


class Broker(Protocol):
    """The engine's side: carries what is in flight, and keeps nothing that the store does not know."""

    def start(self, listener: BrokerListener) -> None:
        """Connect, and stay connected until stopped: a lost connection is made again with back-off."""

    def publish(self, messages: Sequence[TaskMessage], *, together: int = 1) -> None:
        """Send tasks to the queues of their keys and sites.

        At most `together` tasks of one queue travel as one, to the same worker. Returns at once. Each message
        is persistent and confirmed by the broker; one that is returned (no such queue), refused, or
        unconfirmed when the connection breaks comes back through `hand_out_failed`.
        """

    def revoke(self, attempts: Sequence[AttemptKey]) -> None:
        """Tell all workers to stop these attempts; it may get lost, and workers may have none of them."""

    def settle(self, deliveries: Sequence[ResultDelivery]) -> None:
        """Acknowledge results that the store has recorded, or knows to be stale.

        Those that travelled with one that is not settled may be delivered again with it.
        """

    def is_up(self) -> bool:
        """Tell whether messages can be sent now."""

    def stop(self) -> None:
        """Disconnect. What is unsettled is delivered to whoever connects next."""


@dataclass(frozen=True)
class TaskDelivery:
    """A task as it arrived at a worker.

    Attributes
    ----------
    redelivered : bool
        It was delivered before, to a worker that vanished; it may have run there.
    token : hashable
        Settles it with the transport that delivered it.
    """

    message: TaskMessage
    redelivered: bool
    token: Hashable


class WorkerTransport(Protocol):
    """The worker's side: brings tasks, carries results and heartbeats."""

    def start(
        self,
        routes: Sequence[Route],
        *,
        prefetch: int,
        on_task: Callable[[TaskDelivery], None],
        on_revoked: Callable[[Sequence[AttemptKey]], None],
    ) -> None:
        """Connect and consume from the queues of these routes.

        At most `prefetch` deliveries are unreported at a time, each of one task or of several that were sent
        together; these share their token. `on_revoked` is told attempts that are not wanted any more,
        whichever worker has them. Both are called from the transport's thread and must return at once. A lost
        connection is made again with back-off; deliveries from before it are void then, but their results are
        still reported.
        """

    def report(self, result: TaskResult, delivery: TaskDelivery) -> None:
        """Send a result, and acknowledge its task once the broker has confirmed it.

        Returns at once; thread-safe. A result that is not confirmed when the connection breaks is sent again.
        """

    def announce(self, presence: Presence) -> None:
        """Send a heartbeat; it may get lost."""

    def stop(self, *, timeout_s: float) -> None:
        """Stop consuming, wait for unconfirmed results at most `timeout_s`, disconnect."""


RankedSo: TypeAlias = tuple[str, int, int, bool]
"""What a ranking follows from: SHA-256 of the pipeline, number of the stream's latest decision, how many
objects there are, and whether another policy is still to decide about some of them."""


@dataclass(frozen=True)
class StateChange:
    """A task that has a new state; one line of the log."""

    task_id: int
    job_id: int
    stream_id: str
    task_key: str
    site: str
    attempt: int
    state: TaskState
    message: str
    worker_id: str | None = None


@dataclass(frozen=True)
class QueueView:
    """The tasks of one key at one site that are on their way.

    Attributes
    ----------
    oldest_ready_at : float, optional
        When the longest waiting ready task became ready, seconds since 1970.
    more : bool
        There are more tasks than were counted.
    """

    route: Route
    ready: int = 0
    delayed: int = 0
    handed_out: int = 0
    oldest_ready_at: float | None = None
    more: bool = False


class TaskStore(Protocol):
    """What the engine does with stored tasks. Every method is one transaction (or a few small ones)."""

    def claim(self, route: Route, limit: int, *, now: float, lease_s: float) -> list[TaskMessage]:
        """Lease the ready tasks of a queue that stand first, at most `limit`, each with a new attempt."""

    def claim_chosen(
        self, route: Route, task_ids: Sequence[int], *, now: float, lease_s: float
    ) -> list[TaskMessage]:
        """Lease those of some tasks that are still ready in a queue, in the order given."""

    def record(self, results: Sequence[TaskResult], *, now: float) -> list[StateChange]:
        """Apply results in their order and release what depends on them; stale ones change nothing."""

    def renew(self, worker_id: str, held: Sequence[HeldAttempt], *, until: float) -> None:
        """Extend the leases of the attempts that a worker says it holds."""

    def unwanted(self, attempts: Collection[AttemptKey]) -> list[AttemptKey]:
        """Find those of some attempts that somebody has cancelled, deleted, or asked for anew."""

    def expired(self, *, now: float, limit: int) -> list[TaskResult]:
        """Find the attempts whose lease has ended, as results with the outcome LOST, to be recorded."""

    def release_due(self, *, now: float) -> int:
        """Make delayed tasks ready whose pause is over; tell how many."""

    def next_due(self) -> float | None:
        """Tell when the next pause or lease ends."""

    def demand(self, routes: Collection[Route]) -> dict[Route, int]:
        """Find those of some queues in which tasks are ready, each with how many it has in flight."""

    def undecided(self, *, limit: int, now: float, without: Collection[str] = ()) -> list[Undecided]:
        """Find tasks that wait for a decision; leave those of some streams out.

        Postponed ones, and those whose image sets are waited for, are found when they are due.
        """

    def set_members(self, names: Collection[SetName]) -> dict[SetName, list[SetMember]]:
        """Load all images of some image sets, by their jobs' numbers."""

    def hold_sets(self, held: Sequence[tuple[SetName, Sequence[SetMember], float]]) -> None:
        """Let the waiting images of sets wait until a time, unless one of a set has got further meanwhile.

        They wait no longer if one of their set comes to an end without a decision, or the stream is complete.
        """

    def decided(self, stream_id: str, *, after: int, up_to: int, limit: int) -> list[Decided]:
        """List the decisions of a stream with numbers in (`after`, `up_to`], the first `limit` of them."""

    def last_decision(self, stream_id: str) -> int:
        """Return the number of a stream's latest decision; 0 if there is none."""

    def record_decisions(
        self, answered: Sequence[tuple[Undecided, Answer]], *, now: float
    ) -> list[StateChange]:
        """Append decisions and make their tasks ready; end those that cannot be decided.

        Those that are postponed wait, or end where they have waited too often.
        Tasks that do not wait for a decision any more, or whose stream has another pipeline now, are left as
        they are.
        """

    def to_redecide(self, *, limit: int, without: Collection[str] = ()) -> list[Undecided]:
        """List objects that are to be decided about once more, as they were decided about before.

        Those of the streams `without` are left out.
        """

    def redecided(
        self,
        answered: Sequence[tuple[Undecided, Decision | None]],
        *,
        now: float,
        origin: Literal["new-policy", "set"] = "new-policy",
    ) -> None:
        """Record what was decided about objects once more; None leaves the earlier decision as it is.

        Parameters
        ----------
        answered : sequence of (Undecided, Decision or None)
        now : float
        origin : str
            ``new-policy``: only of those that are to be decided about once more.
        """

    def ranked_streams(self) -> dict[str, RankedSo]:
        """Find the streams whose policies rank their objects, each with what its ranking follows from."""

    def revise(self, stream_id: str, *, now: float) -> int:
        """Decide otherwise about objects that their rank wants elsewhere; tell about how many.

        That are some about the borders between tiers, with those that only count elsewhere in the ranking;
        all are where they belong when it tells 0.
        """

    def start_moves(self, *, limit: int, now: float) -> list[StateChange]:
        """Have the `tier` tasks of objects run again that later decisions are to move.

        What a person pinned or recalled comes first, and what a full tier passes on does not wait; all else
        stands behind what was just scored.
        """

    def pass_on(self, tier: str, limits: TierLimits, *, now: float, limit: int) -> int:
        """Decide that objects of enforcing streams go on from a tier, at most `limit`; tell how many.

        Those that were there for long enough; or else, while the tier is to hold more than its quota, those
        with the lowest scores. Never pinned ones, nor those that a person has recalled and that are on their
        way. By their rank they still take room in the tier that they leave.
        """

    def save_presence(self, presences: Sequence[Presence], *, now: float) -> None:
        """Remember which workers are there."""


class Selector(Protocol):
    """Chooses which of the ready tasks of a queue are handed out next.

    It may look at as many of them as it needs, but what that costs must not grow with how many there are.
    """

    def choose(self, route: Route, free_slots: int, *, now: float) -> list[int]:
        """Choose tasks by their ids, at most `free_slots`, the first one first; none to let them wait.

        What is not ready any more when it is claimed is left out then, and it is asked again.
        """
