"""What was decided, what would be decided by another policy, and deciding otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import Field

from haste_client.answers import Answer, DecisionAnswer, ImageAnswer, PipelineAnswer, StreamAnswer
from haste_client.images import ImageCalls
from haste_client.notebooks import Listing
from haste_client.verification import Verdict, verify


class TargetAnswer(Answer):
    """One of the images with the highest scores, and where it was taken.

    Attributes
    ----------
    location : tuple of float
        As submitted.
    facts : mapping
        What the file tells of how it was taken, such as the position of the stage.
    """

    job_id: int
    source_id: str
    index: int | None = None
    score: float
    tier: str
    location: tuple[float, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)


class Targets(Listing[TargetAnswer]):
    """The images with the highest scores, as a list that a notebook shows as a table."""

    columns = ("source_id", "score", "tier", "location", "metadata")
    numbers = frozenset({"score"})


class Amount(Answer):
    """A number of images, and their bytes."""

    count: int
    size_bytes: int


class Move(Amount):
    """Images that would go from one tier to another."""

    before: str
    after: str


class Unscored(Answer):
    """Images that a function cannot score, and why not, for the most of them; earlier decisions stay."""

    count: int = 0
    reason: str | None = None


class PreviewAnswer(Answer):
    """What another function or policy would do.

    Attributes
    ----------
    tiers : mapping of str to Amount
        What each tier would hold.
    moves : tuple of Move
    count, moving : int
        All images about which was decided, and those of them whose tier would change.
    unscored : Unscored
        Those of all images that the function cannot score.
    deleted : Amount
        What was deleted from a trash before, and is not counted: no policy brings it back.
    warnings : tuple of str
        What is probably misspelt: names that the function looks at, but no image has.
    """

    tiers: dict[str, Amount]
    moves: tuple[Move, ...]
    count: int
    moving: int
    unscored: Unscored = Unscored()
    deleted: Amount = Amount(count=0, size_bytes=0)
    warnings: tuple[str, ...] = ()


class AppliedPolicy(PipelineAnswer):
    """The pipeline of a stream with its new function and policy; `warnings` as in `PreviewAnswer`."""

    warnings: tuple[str, ...] = ()


class ModeAnswer(Answer):
    """Whether a stream only observes, and the images that were not put to the tier they belong to."""

    mode: str
    unmoved: Amount


class DecisionCalls(ImageCalls):
    """The calls of `HasteClient` that are about decisions."""

    def targets(self, stream_id: str, *, top: int = 10) -> Targets:
        """List the images with the highest scores, the best first.

        Parameters
        ----------
        stream_id : str
        top : int
            How many; at most 1000.

        Returns
        -------
        Targets
        """
        answer = self._connection.get(_stream(stream_id, "targets"), {"top": top})
        return Targets(TargetAnswer.model_validate(target) for target in answer["targets"])

    def preview_policy(
        self,
        stream_id: str,
        *,
        interestingness: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> PreviewAnswer:
        """Tell what another function, policy, or both would do; nothing moves.

        Parameters
        ----------
        stream_id : str
        interestingness, policy : mapping, optional
            As in a pipeline file.

        Returns
        -------
        PreviewAnswer

        Raises
        ------
        ConflictError
            If the stream's pipeline decides nothing.
        """
        body = _given(interestingness=interestingness, policy=policy)
        answer = self._connection.post(_stream(stream_id, "policy/preview"), body)
        return PreviewAnswer.model_validate(answer)

    def set_policy(
        self,
        stream_id: str,
        *,
        interestingness: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> AppliedPolicy:
        """Decide by another function, policy, or both from now on, also about what was decided before.

        Parameters
        ----------
        stream_id : str
        interestingness, policy : mapping, optional
            As in a pipeline file.

        Returns
        -------
        AppliedPolicy

        Raises
        ------
        ConflictError
            If the stream's pipeline decides nothing.
        """
        body = _given(interestingness=interestingness, policy=policy)
        answer = self._connection.post(_stream(stream_id, "policy"), body)
        return AppliedPolicy.model_validate({**answer["pipeline"], "warnings": answer.get("warnings", ())})

    def decisions_about(self, job_id: int) -> list[DecisionAnswer]:
        """List all decisions about the object of a job, the first one first.

        Parameters
        ----------
        job_id : int

        Returns
        -------
        list of DecisionAnswer

        Raises
        ------
        NotFoundError
            If there is no such job, or nothing was decided about its object yet.
        """
        answer = self._connection.get(f"/HASTE/job/{job_id}/decisions")
        return [DecisionAnswer.model_validate(decision) for decision in answer["decisions"]]

    def verify(self, stream_id: str) -> Verdict:
        """Make all decisions of a stream once more from their records, and tell what differs.

        Parameters
        ----------
        stream_id : str

        Returns
        -------
        Verdict
        """
        return verify(stream_id, lambda: self.decisions(stream_id))

    def pin(self, job_id: int, tier: str, *, reason: str, by: str | None = None) -> ImageAnswer:
        """Keep the object of a job in a tier whatever the policy says; asked twice, it is pinned once.

        Parameters
        ----------
        job_id : int
        tier : str
        reason : str
            Why; recorded with the decision.
        by : str, optional
            Who asks for it.

        Returns
        -------
        ImageAnswer
        """
        body = _given(tier=tier, reason=reason, by=by)
        return ImageAnswer.model_validate(self._connection.post(f"/HASTE/job/{job_id}/pin", body))

    def unpin(self, job_id: int, *, reason: str, by: str | None = None) -> ImageAnswer:
        """Let the policy decide about the object of a job again.

        Parameters
        ----------
        job_id : int
        reason : str
            Why; recorded with the decision.
        by : str, optional
            Who asks for it.

        Returns
        -------
        ImageAnswer

        Raises
        ------
        ConflictError
            If it is not pinned.
        """
        body = _given(reason=reason, by=by)
        return ImageAnswer.model_validate(self._connection.post(f"/HASTE/job/{job_id}/unpin", body))

    def mode(self, stream_id: str) -> ModeAnswer:
        """Tell whether a stream enforces its decisions, and how much is not where they want it.

        Parameters
        ----------
        stream_id : str

        Returns
        -------
        ModeAnswer
        """
        return ModeAnswer.model_validate(self._connection.get(_stream(stream_id, "mode")))

    def set_mode(self, stream_id: str, mode: str) -> StreamAnswer:
        """Let a stream only observe, or enforce its decisions from now on, the earlier ones, too.

        Parameters
        ----------
        stream_id : str
        mode : {"observe", "enforce"}

        Returns
        -------
        StreamAnswer
        """
        return StreamAnswer.model_validate(self._connection.post(_stream(stream_id, "mode"), {"mode": mode}))


def _stream(stream_id: str, what: str) -> str:
    return f"/HASTE/stream/{quote(stream_id)}/{what}"


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
