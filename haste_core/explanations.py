"""Why an image is in its tier, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from haste_core.decisions import call_text
from haste_core.interestingness import value_of

_ASIDE = frozenset({"width", "height", "bits", "colour", "planes", "size_bytes"})  # measured is the rest

_ORIGINS: Mapping[str, str] = {
    "policy": "when it was measured",
    "new-policy": "since the stream got another function, policy or mode",
    "revision": "since other images of the stream score higher or lower than this one",
    "set": "with the other images of its set",
    "pin": "pinned",
    "unpin": "the pin was taken away",
    "recall": "called back",
    "retention": "since its time in the tier was over",
    "quota": "since the tier was full",
    "deletion": "to be deleted from the trash",
}


@dataclass(frozen=True)
class ExplainedImage:
    """The image that the sentences are about.

    Attributes
    ----------
    url, source_url : str
        Where it is now, and where it was at first.
    tiering : mapping
        What the task `tier` answered; empty before it did.
    deleted_at : float, optional
        When it was deleted from a trash, in seconds since 1970.
    """

    job_id: int
    source_id: str
    stream_id: str
    url: str
    source_url: str
    tiering: Mapping[str, Any]
    deleted_at: float | None


class ExplainedDecision(Protocol):
    """A decision as it was recorded; see `haste_core.objects.DecisionRecord`."""

    @property
    def decision_id(self) -> int:
        """Its number."""

    @property
    def made_at(self) -> float:
        """When, in seconds since 1970."""

    @property
    def score(self) -> float | None:
        """The score, if it is defined."""

    @property
    def tier(self) -> str:
        """The tier."""

    @property
    def reason(self) -> str:
        """Why, in a sentence."""

    @property
    def mode(self) -> str:
        """Whether the stream was to observe or to enforce."""

    @property
    def origin(self) -> str:
        """What made it."""

    @property
    def made_by(self) -> str | None:
        """Who asked for it, if somebody did."""

    @property
    def features(self) -> Mapping[str, Any]:
        """What was measured."""

    @property
    def circumstances(self) -> Mapping[str, Any]:
        """What else was known."""

    @property
    def interestingness(self) -> Mapping[str, Any] | None:
        """The function with its parameters, as JSON."""

    @property
    def policy(self) -> Mapping[str, Any] | None:
        """The policy, as JSON."""

    @property
    def software_version(self) -> str:
        """Of the server that made it."""

    @property
    def supersedes(self) -> int | None:
        """The decision before."""

    @property
    def seen(self) -> int | None:
        """Up to which decision of the stream others' were looked at."""

    @property
    def members(self) -> tuple[int, ...] | None:
        """The jobs of its image set."""


def belongs(image: ExplainedImage, last: ExplainedDecision, time_text: Callable[[float], str]) -> str:
    """Say where an image belongs, or that it is gone."""
    named = f"{image.source_id} of stream {image.stream_id} (job {image.job_id})"
    if image.deleted_at is None:
        return f"{named} belongs in {last.tier}."
    return f"{named} is gone: it was deleted from {last.tier} at {time_text(image.deleted_at)}."


def reasons(decisions: Sequence[ExplainedDecision], time_text: Callable[[float], str]) -> Iterator[str]:
    """Say why it belongs there.

    Parameters
    ----------
    decisions : sequence of ExplainedDecision
        About it, the first one first; at least one.
    time_text : callable
        Writes a time, in seconds since 1970.
    """
    last, pin = decisions[-1], _pin(decisions)
    yield from _measured(last)
    yield from _scored(last)
    yield from _placed(last) if pin is None else _pinned(last, pin, time_text)


def whereabouts(image: ExplainedImage, last: ExplainedDecision) -> str:
    """Say where an image is."""
    done = image.tiering
    if image.deleted_at is not None:
        return f"It was at {done.get('deleted')}, in a trash that {last.made_by or 'somebody'} had emptied."
    how_far = f"`haste job {image.job_id}` tells how far it is."
    if not done and image.url == image.source_url:
        return f"It was not put to a tier yet; it is at {image.url}."
    if not done:  # a task that is to run again has no answer, though it has put the image somewhere before
        return f"Its move to {last.tier} is not done; it still is at {image.url}. {how_far}"
    if not done.get("moved"):
        what = "nothing was copied" if image.url == image.source_url else "it was left where it is"
        return f"The stream only observed, so {what}; it is at {image.url}."
    if done.get("tier") != last.tier:
        return f"It still is in {done.get('tier')}, at {image.url}; {how_far}"
    return f"It was copied to {last.tier} and the copy verified; it is at {image.url}."


def story(decision: ExplainedDecision, time_text: Callable[[float], str]) -> str:
    """Say in a line how a decision came about."""
    score = "no score" if decision.score is None else f"score {decision.score:.4f}"
    told = _ORIGINS.get(decision.origin, decision.origin)
    by = f" by {decision.made_by}" if decision.made_by else ""
    instead = f", instead of decision {decision.supersedes}" if decision.supersedes else ""
    carried = "to be carried out" if decision.mode == "enforce" else "noted only"
    number = f"{time_text(decision.made_at)}  decision {decision.decision_id}{instead}"
    made = f"{told}{by}, {carried}; HASTE {decision.software_version}"
    return f"{number}: {decision.tier}, {score}; {made}. {decision.reason}"


def _measured(decision: ExplainedDecision) -> Iterator[str]:
    features = decision.features
    told = [f"{name} {_text(value)}" for name, value in features.items() if _is_number(name, value)]
    source = (decision.interestingness or {}).get("features_from", "its features' task")
    yield f"Measured by {source}: {', '.join(told) or 'nothing that has a value'}."
    if plane := features.get("plane"):
        yield f"Of its {features.get('planes', 'several')} planes, this one was measured: {_pairs(plane)}."
    if features.get("pixels") not in (None, "original"):
        yield f"These are of pixels after: {features['pixels']}."
    for name, why in (features.get("undefined_features") or {}).items():
        yield f"{name} has no value: {why}."
    yield f"The file has the SHA-256 {features.get('sha256', 'that was not told')}."


def _scored(decision: ExplainedDecision) -> Iterator[str]:
    spec = decision.interestingness or {}
    if decision.score is None:
        return
    function, parameters = spec.get("function", "?"), spec.get("parameters") or {}
    called = call_text(function, parameters)
    yield f"Its score is {decision.score:.4f}, by {called}{_how(decision, str(function), parameters)}."


def _how(decision: ExplainedDecision, function: str, parameters: Mapping[str, Any]) -> str:
    """Say how a function came to its score, where that can be said in a line."""
    if decision.members is not None:
        return f", which is that of its image set (from {len(decision.members)} of its images)"
    value = decision.features.get(str(parameters.get("feature")))
    match function:
        case "logistic" if isinstance(value, int | float):
            k, x0 = parameters["k"], parameters["x0"]
            return f" = 1 / (1 + exp({-k:g} x ({value:.4f} {'+' if x0 < 0 else '-'} {abs(x0):g})))"
        case "quantile":
            others = f"those up to decision {decision.seen}" if decision.seen else "there were none yet"
            return f": its {parameters.get('feature')} was ranked among the stream's other images, {others}"
        case "precomputed":
            given = (decision.circumstances.get("metadata") or {}).get(parameters.get("field"))
            return f": it was submitted with the image, as {parameters.get('field')} = {given}"
        case _:
            return ""


def _placed(decision: ExplainedDecision) -> Iterator[str]:
    policy = decision.policy or {}
    of_itself = decision.origin in ("policy", "new-policy") and decision.members is None
    if of_itself and decision.score is not None:
        for interval in policy.get("intervals") or ():
            lo, hi, tier = interval["lo"], interval["hi"], interval["tier"]
            if tier == decision.tier and (lo <= decision.score < hi or decision.score == hi == 1):
                yield f"The policy puts scores from {lo:g} to {hi:g} in {tier}."
                return
    reason = decision.reason[:1].upper() + decision.reason[1:]
    yield reason.rstrip(".") + "."
    if decision.score is None and decision.origin in ("policy", "new-policy"):
        yield f"Images without a score go to {policy.get('undefined', decision.tier)}."


def _pin(decisions: Sequence[ExplainedDecision]) -> ExplainedDecision | None:
    """Find the decision that pinned the image, if it is pinned."""
    about_pins = [decision for decision in decisions if decision.origin in ("pin", "unpin")]
    return about_pins[-1] if about_pins and about_pins[-1].origin == "pin" else None


def _pinned(
    last: ExplainedDecision, pin: ExplainedDecision, time_text: Callable[[float], str]
) -> Iterator[str]:
    why = pin.reason.removeprefix(f"pinned to {pin.tier}: ")
    yield f"It was pinned to {pin.tier} by {pin.made_by or 'somebody'} at {time_text(pin.made_at)}: {why}."
    _, _, otherwise = last.reason.partition("; else: ")
    if otherwise:
        yield f"Without the pin: {otherwise}."


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _is_number(name: str, value: object) -> bool:
    return name not in _ASIDE and (isinstance(value, bool) or value_of({name: value}, name) is not None)


def _text(value: bool | int | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
