"""Interestingness functions: from an object's features to a score in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, Field, FiniteFloat, ValidationError, validate_call

from haste_core.asking import (
    DEFAULT_TIMEOUT_S,
    Get,
    ServiceUrl,
    address_of,
    nobody_asked,
    number_in,
)
from haste_core.expressions import ExpressionError, parse_expression
from haste_core.findings import problems_of


class InterestingnessError(ValueError):
    """The score could not be computed; the object is not ranked by accident."""


@dataclass(frozen=True)
class StreamObject:
    """Another object of the stream, decided about before.

    Attributes
    ----------
    source_id : str
    features : mapping of str to JSON value
    score : float or None
        None where it was undefined.
    tier : str
    """

    source_id: str
    features: Mapping[str, Any]
    score: float | None
    tier: str


def _no_others() -> Sequence[StreamObject]:
    return ()


@dataclass(frozen=True)
class ScoredObject:
    """What an interestingness function may look at.

    Attributes
    ----------
    features : mapping of str to JSON value
        Numbers extracted from the object, for example ``plls``.
    metadata : mapping
        As submitted with the job.
    timestamp : float, optional
        Time of acquisition, seconds since 1970.
    location : tuple of float
    substream_id : str, optional
    others : callable
        Returns the other objects of the stream that were decided about before, each as its latest decision
        left it, in the order of these decisions.
    """

    features: Mapping[str, Any]
    metadata: Mapping[str, Any]
    timestamp: float | None = None
    location: tuple[float, ...] = ()
    substream_id: str | None = None
    others: Annotated[Callable[[], Sequence[StreamObject]], Field(exclude=True)] = field(
        default=_no_others, repr=False, compare=False
    )

    @property
    def circumstances(self) -> dict[str, Any]:
        """What is known beside the features, as a record keeps it."""
        known = {
            "timestamp": self.timestamp,
            "location": list(self.location) or None,
            "substream_id": self.substream_id,
        }
        return {
            "metadata": dict(self.metadata),
            **{name: value for name, value in known.items() if value is not None},
        }


class InterestingnessFunction(Protocol):
    """Computes a score in [0, 1] from an object; raises InterestingnessError if it cannot."""

    def __call__(self, scored: ScoredObject, /) -> float:
        """Score one object."""


def _some_steepness(k: float) -> float:
    if k == 0:
        raise ValueError(
            "with 0, all images have the score 0.5; above 0 high values are interesting, below low"
        )
    return k


def logistic(
    *, feature: str, k: Annotated[FiniteFloat, AfterValidator(_some_steepness)], x0: FiniteFloat
) -> InterestingnessFunction:
    """Build ``1 / (1 + exp(-k (x - x0)))`` of one feature x.

    Parameters
    ----------
    feature : str
        Name of the feature.
    k : float
        Steepness; positive if high values are interesting, negative if low ones are, not 0.
    x0 : float
        The value whose score is 0.5.

    References
    ----------
    Blamey et al., "Rapid development of cloud-native intelligent data pipelines for scientific data streams
    using the HASTE Toolkit", GigaScience 10 (2021), case study 1: PLLS, k = 4.5, x0 = -1.4.
    """

    def score(scored: ScoredObject) -> float:
        x = number_of(scored.features, feature)
        # tanh does not overflow where exp does
        return 0.5 * (1 + math.tanh(k * (x - x0) / 2))

    return score


CountOthers = Callable[[ScoredObject, str], tuple[int, int, int]]
"""How many other objects have a lower value of a feature than an object, an equal one, and any at all."""


def count_others(scored: ScoredObject, feature: str) -> tuple[int, int, int]:
    """Count by looking at all others; see `CountOthers`."""
    x = number_of(scored.features, feature)
    others = [value for other in scored.others() if (value := value_of(other.features, feature)) is not None]
    return sum(value < x for value in others), sum(value == x for value in others), len(others)


def quantile(
    *,
    feature: str,
    tiers: Annotated[int, Field(ge=2)] = 4,
    min_objects: Annotated[int, Field(ge=0)] = 16,
    count_others: CountOthers = count_others,
) -> InterestingnessFunction:
    """Rank an object among those of its stream so far, in as many equal parts as there are tiers.

    Part i of n, from 0 for the lowest values, scores (2 i + 1) / (2 n): the middle of the i-th interval of a
    policy of n equal ones.

    Parameters
    ----------
    feature : str
        Name of the feature; high values are interesting.
    tiers : int
        At least 2.
    min_objects : int
        Before so many others have a value, the object scores as the highest part does: nothing is put away
        for the few that came before it.
    count_others : callable
        Counts the others; only a program can give another one, no pipeline.

    References
    ----------
    The HASTE Toolkit's ``NTierRanked``.
    """

    def score(scored: ScoredObject) -> float:
        below, equal, number = count_others(scored, feature)
        if number < max(1, min_objects):
            part = tiers - 1
        else:
            part = min(int(tiers * (below + equal / 2) / number), tiers - 1)
        return (2 * part + 1) / (2 * tiers)

    return score


def precomputed(*, field: str) -> InterestingnessFunction:
    """Take the score from what was submitted with the job.

    Parameters
    ----------
    field : str
        Of the job's metadata; a number in [0, 1].
    """

    def score(scored: ScoredObject) -> float:
        return number_of(scored.metadata, field)

    return score


def expression(*, expression: str, clip: bool = False) -> InterestingnessFunction:
    """Compute the score by an expression, as in ``(plls + 3) / 3``.

    Parameters
    ----------
    expression : str
        Over `values_of` an object; see `haste_core.expressions`.
    clip : bool
        Take what is below 0 for 0 and what is above 1 for 1, in place of an error.
    """
    try:
        parsed = parse_expression(expression)
    except ExpressionError as error:
        raise InterestingnessError(str(error)) from error

    def score(scored: ScoredObject) -> float:
        values = values_of(scored)
        try:
            result = parsed.evaluate(values)
        except ExpressionError as error:
            missing = [name for name in parsed.names if _number_at(values, name) is None]
            hint = f"; the object has no number {', '.join(missing)}" if missing else ""
            raise InterestingnessError(f"{error}{hint}") from error
        value = _finite(result)
        if value is None:
            raise InterestingnessError(f"{expression} gave {result!r}, which is no number")
        return min(max(value, 0.0), 1.0) if clip else value

    return score


def rest(
    *,
    url: ServiceUrl,
    timeout_s: Annotated[FiniteFloat, Field(gt=0, le=60)] = DEFAULT_TIMEOUT_S,
    fields: Annotated[Sequence[str], Field(min_length=1)] | None = None,
    get: Get = nobody_asked,
) -> InterestingnessFunction:
    """Ask a service by ``GET url?plls=-1.2&metadata.well=A01``; it answers with JSON.

    While it is away, does not answer in time, or says 429 or 5xx, the function raises TransientError: the
    object is asked about again later. Any other answer than 200 with ``{"score": 0.7}`` or ``0.7`` is an
    error of the object.

    Parameters
    ----------
    url : str
        Of the service; ``http`` or ``https``.
    timeout_s : float
        How long it may take for one object, at most 60.
    fields : sequence of str, optional
        What to send, by names as in expressions: ``plls``, ``metadata.well``. None: all there is.
    get : callable
        Fetches; the program gives it, no pipeline can.

    References
    ----------
    The HASTE Storage Client's ``RestInterestingnessModel``, whose services are understood, too.
    """

    def score(scored: ScoredObject) -> float:
        try:
            address = address_of(url, values_of(scored), fields)
            return number_in(get(address, timeout_s), url)
        except ValueError as error:
            raise InterestingnessError(str(error)) from error

    return score


def values_of(scored: ScoredObject) -> dict[str, Any]:
    """Collect what is known of an object under one name each.

    The features stand by their names; ``metadata`` is an object of its own.
    """
    return {
        **scored.features,
        "metadata": scored.metadata,
        "timestamp": scored.timestamp,
        "location": list(scored.location) or None,
        "substream_id": scored.substream_id,
    }


def value_of(features: Mapping[str, Any], name: str) -> float | None:
    """Look up a feature; None if it is no finite number."""
    return _finite(features.get(name))


def number_of(values: Mapping[str, Any], name: str) -> float:
    """Look up a number.

    Raises
    ------
    InterestingnessError
        If there is no finite number of this name.
    """
    given = values.get(name)
    value = _finite(given)
    if value is None:
        instead = "" if given is None else f" (it is {given!r})"
        raise InterestingnessError(no_number(name) + instead)
    return value


def no_number(name: str) -> str:
    """Say that an object cannot be scored because a feature is missing."""
    return f"the object has no number {name!r}"


def _number_at(values: Any, name: str) -> float | None:
    for part in name.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return _finite(values)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_MAKERS: Mapping[str, Callable[..., InterestingnessFunction]] = {
    "logistic": validate_call(logistic),
    "quantile": validate_call(quantile),
    "precomputed": validate_call(precomputed),
    "expression": validate_call(expression),
    "rest": validate_call(rest),
}

_KNOWN_BESIDE = frozenset({"metadata", "timestamp", "location", "substream_id"})

BUILT_IN = frozenset(_MAKERS)
"""Names of the interestingness functions that come with the program."""

QUICK = BUILT_IN - {"rest"}
"""Those that wait for nothing."""

ALONE = BUILT_IN - {"quantile"}
"""Those that look at no other object."""


def built_in(name: str, parameters: Mapping[str, Any]) -> InterestingnessFunction:
    """Make a built-in interestingness function.

    Parameters
    ----------
    name : str
        One of `BUILT_IN`.
    parameters : mapping
        Its arguments.

    Raises
    ------
    InterestingnessError
        If it does not take these parameters.
    """
    try:
        return _MAKERS[name](**parameters)
    except ValidationError as error:
        said = "; ".join(str(problem) for problem in problems_of(error))
        raise InterestingnessError(f"interestingness function {name!r}: {said}") from error


@dataclass(frozen=True)
class Reads:
    """What an interestingness function looks at.

    Attributes
    ----------
    features : frozenset of str
        Names of features.
    circumstances : frozenset of str
        Of what is known beside them: ``timestamp``, ``location``, ``substream_id``; ``metadata``, if all of
        it is looked at.
    metadata : frozenset of str
        Fields of the metadata.
    """

    features: frozenset[str] = frozenset()
    circumstances: frozenset[str] = frozenset()
    metadata: frozenset[str] = frozenset()


def read_by(name: str, parameters: Mapping[str, Any]) -> Reads:
    """Tell what a built-in function of `QUICK` looks at; `parameters` are such as it takes."""
    if name == "expression":
        paths = [full.split(".") for full in parse_expression(str(parameters["expression"])).names]
        fields = {path[1] for path in paths if path[0] == "metadata" and len(path) > 1}
        firsts = {path[0] for path in paths if path[0] != "metadata" or len(path) == 1}
        return Reads(frozenset(firsts - _KNOWN_BESIDE), frozenset(firsts & _KNOWN_BESIDE), frozenset(fields))
    if name == "precomputed":
        return Reads(metadata=frozenset({str(parameters["field"])}))
    return Reads(features=frozenset({str(parameters["feature"])}))
