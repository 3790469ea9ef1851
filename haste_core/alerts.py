"""Alerts: what somebody wants to be told while the plate is still on the stage.

Each image that is scored and each look at a stream changes how a rule stands (`RuleState`), at a cost that
does not grow with the stream. A rule raises one alert when it becomes true, and the next one only after
it was false again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from haste_core.alert_rules import (
    AlertRule,
    Finished,
    LowScores,
    ScoreRule,
    Silence,
    TierNearlyFull,
    WellBelow,
)

REARM_PERCENT = 1.0
"""A disk's use goes up and down a little all the time; it has to fall by so much before it is told again."""

PLATE = "plate"
MAX_GROUP = 200
"""Characters of a well's name that are told apart."""


@dataclass(frozen=True)
class Scored:
    """An image that was decided about.

    Attributes
    ----------
    score : float or None
        In [0, 1]; None where it is undefined.
    fields : mapping of str to str
        What `wanted_fields` asked for.
    """

    source_id: str
    score: float | None
    fields: Mapping[str, str]


@dataclass(frozen=True)
class RuleState:
    """How a rule stands, for one well where it has wells.

    Attributes
    ----------
    images, low : int
        Images that count, and those of them with a low score; of `LowScores` the present run.
    first : str
        With which image the run began; of `Silence` and `Finished` the last image that they know.
    raised : bool
        It is true, and that was told.
    """

    images: int = 0
    low: int = 0
    first: str = ""
    raised: bool = False


@dataclass(frozen=True)
class Raised:
    """Something to be told.

    Attributes
    ----------
    rule : str
    message : str
        In sentences for a microscopist, with what to do.
    details : mapping
        The same in numbers.
    """

    rule: str
    message: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Counts:
    """How the jobs of a stream have ended; those that were cancelled are among the failed ones."""

    done: int
    failed: int
    cancelled: int = 0


@dataclass(frozen=True)
class Fill:
    """How much of a tier's disk, or of its quota, is used; `size_bytes` is what may be filled."""

    used_bytes: int
    size_bytes: int
    of: Literal["disk", "quota"] = "disk"

    @property
    def percent(self) -> float:
        """Used share, in [0, 100]."""
        return 100 * self.used_bytes / self.size_bytes if self.size_bytes else 100.0


Fills = Mapping[str, Fill | None]
"""By tier: None while it cannot be measured; tiers that the server cannot see are left out."""


@dataclass(frozen=True)
class StreamView:
    """A stream at one moment, times in seconds since 1970.

    Attributes
    ----------
    last_source : str
        The newest image; empty if there is none.
    last_arrival_at, last_end_at : float or None
        When the newest image came, and when a job ended last.
    open : bool
        Whether any job has not ended.
    complete : bool
        Somebody has said that no more images come.
    listening_since : float
        Since when the server runs.
    counts : callable
        Counts the jobs; asked only where that is told.
    fills : mapping
        How full the tiers are that the server can see.
    """

    now: float
    last_source: str
    last_arrival_at: float | None
    last_end_at: float | None
    open: bool
    complete: bool
    listening_since: float
    counts: Callable[[], Counts]
    fills: Fills = field(default_factory=dict)


Judged = tuple[RuleState, Raised | None]


def wanted_fields(rules: Iterable[AlertRule]) -> frozenset[str]:
    """Name the metadata that rules want to know of each scored image; empty if none looks at scores."""
    of_wells = {rule.field for rule in rules if isinstance(rule, WellBelow)}
    return frozenset(of_wells | {PLATE} if of_wells else of_wells)


def watches_scores(rules: Iterable[AlertRule]) -> bool:
    """Tell whether any rule looks at scores."""
    return any(isinstance(rule, ScoreRule) for rule in rules)


def group_of(rule: AlertRule, scored: Scored) -> str | None:
    """Name the well for which a rule counts an image; empty if it has no wells, None if it leaves it out."""
    if isinstance(rule, LowScores):
        return ""
    if not isinstance(rule, WellBelow) or not scored.fields.get(rule.field):
        return None
    plate = scored.fields.get(PLATE, "") if rule.field != PLATE else ""
    return f"{plate} {scored.fields[rule.field]}".strip()[-MAX_GROUP:]


def note_score(rule: ScoreRule, group: str, scored: Scored, before: RuleState) -> Judged:
    """Take note of a scored image that concerns a rule.

    Parameters
    ----------
    rule : LowScores or WellBelow
    group : str
        As `group_of` names it.
    scored : Scored
    before : RuleState
        Of this rule and group.
    """
    low = rule.is_low(scored.score)
    if low is None:
        return before, None
    if isinstance(rule, LowScores):
        return _note_run(rule, scored, before, low=low)
    after = replace(before, images=before.images + 1, low=before.low + low)
    bad = after.images >= rule.min_images and 100 * after.low >= rule.percent * after.images
    told = _well_is_low(rule, group, after) if bad and not before.raised else None
    return replace(after, raised=bad), told


def _note_run(rule: LowScores, scored: Scored, before: RuleState, *, low: bool) -> Judged:
    if not low:
        return RuleState(), None
    run = before.low + 1
    after = RuleState(run, run, before.first or scored.source_id, run >= rule.consecutive)
    if not after.raised or before.raised:
        return after, None
    message = (
        f"{_images(run)} in a row scored below {rule.below:g}{_or_nothing(rule)}, from {after.first} to "
        f"{scored.source_id}. Look at focus, lamp and sample while the plate is still on the stage"
    )
    details = {"images": run, "below": rule.below, "first": after.first, "last": scored.source_id}
    return after, Raised(rule.rule, message, details)


def _well_is_low(rule: WellBelow, group: str, after: RuleState) -> Raised:
    share = 100 * after.low / after.images
    message = (
        f"{after.low} of the {_images(after.images)} of {rule.field} {group} ({share:.0f} %) scored below "
        f"{rule.below:g}{_or_nothing(rule)}. Look at it while the plate is still on the stage"
    )
    details = {"group": group, "images": after.images, "low": after.low, "below": rule.below}
    return Raised(rule.rule, message, details)


def _or_nothing(rule: ScoreRule) -> str:
    return " or had no score" if rule.count_undefined else ""


def look(
    rules: Sequence[AlertRule], view: StreamView, before: Mapping[int, RuleState]
) -> tuple[dict[int, RuleState], list[Raised]]:
    """Judge the rules that do not wait for scores.

    Parameters
    ----------
    rules : sequence of AlertRule
    view : StreamView
    before : mapping of int to RuleState
        By the place of the rule in `rules`, so far as there is one.

    Returns
    -------
    after : dict of int to RuleState
        Those of all these rules.
    raised : list of Raised
    """
    after: dict[int, RuleState] = {}
    raised: list[Raised] = []
    finished = False
    # The end of a stream is known before its silence is judged.
    for place, rule in sorted(enumerate(rules), key=lambda item: not isinstance(item[1], Finished)):
        if isinstance(rule, ScoreRule):
            continue
        stood = before.get(place, RuleState())
        since = "" if isinstance(rule, TierNearlyFull) else view.last_source
        if stood.first != since:  # there may have been an image between two looks
            stood = RuleState()
        told = _judge(rule, view, stood, finished=finished)
        if told is not None and not stood.raised:
            raised.append(told)
        # What moves later does not end a stream once more, nor is a stream that has ended silent.
        stays = (isinstance(rule, Finished) and view.open) or isinstance(rule, Silence)
        ended = isinstance(rule, Silence) and finished
        after[place] = RuleState(first=since, raised=told is not None or ended or (stays and stood.raised))
        finished = finished or (isinstance(rule, Finished) and after[place].raised)
    return after, raised


def may_rest(rules: Sequence[AlertRule], view: StreamView, after: Mapping[int, RuleState]) -> bool:
    """Tell whether nothing can become true until the next image comes."""
    if view.last_arrival_at is None:
        return True
    finished = any(isinstance(rule, Finished) and after[place].raised for place, rule in enumerate(rules))
    waiting = (
        place
        for place, rule in enumerate(rules)
        if isinstance(rule, Finished) or (isinstance(rule, Silence) and not finished and not view.complete)
    )
    return not view.open and all(after[place].raised for place in waiting)


def _judge(
    rule: Silence | Finished | TierNearlyFull, view: StreamView, stood: RuleState, *, finished: bool
) -> Raised | None:
    """Say what is to be told if a rule is true now."""
    if isinstance(rule, TierNearlyFull):
        return _judge_tier(rule, view.fills, stood)
    if view.last_arrival_at is None:
        return None
    if isinstance(rule, Silence):
        silent_s = view.now - max(view.last_arrival_at, view.listening_since)
        awaited = not finished and not view.complete
        return _is_silent(rule, view) if silent_s >= rule.for_s and awaited else None
    quiet_s = view.now - max(view.last_arrival_at, view.last_end_at or 0.0)
    if view.open or (quiet_s < rule.settle_s and not view.complete):
        return None
    return Raised(rule.rule, "", {}) if stood.raised else _has_finished(rule, view)


def _is_silent(rule: Silence, view: StreamView) -> Raised:
    message = (
        f"No new image has come for {_span(rule.for_s)}; the last one was {view.last_source}. Look whether "
        "the microscope still runs, its disk has room and its folder is still watched"
    )
    details = {"for_s": rule.for_s, "last": view.last_source, "last_arrival_at": view.last_arrival_at}
    return Raised(rule.rule, message, details)


def _has_finished(rule: Finished, view: StreamView) -> Raised:
    counts = view.counts()
    broken = counts.failed > counts.cancelled
    what = "Look at those that failed before the plate goes" if broken else "The plate may go"
    of_them = f" ({counts.cancelled} of them cancelled)" if counts.cancelled else ""
    end = "the stream is complete" if view.complete else f"for {_span(rule.settle_s)} no new one has come"
    message = (
        f"{_all_images(counts.done + counts.failed)} ended: {counts.done} done, "
        f"{counts.failed} failed{of_them}; {end}. {what}"
    )
    return Raised(rule.rule, message, asdict(counts))


def _judge_tier(rule: TierNearlyFull, fills: Fills, stood: RuleState) -> Raised | None:
    details: dict[str, Any] = {"tier": rule.tier, "percent": None}
    if rule.tier not in fills:
        message = (
            f"This server cannot see how full the tier {rule.tier} is: it is no folder of its own workers, "
            "and has no quota in the settings. Give it one, or take this rule out of the pipeline"
        )
        return Raised(rule.rule, message, details)
    fill = fills[rule.tier]
    if fill is None:
        return Raised(rule.rule, "", details) if stood.raised else None
    if fill.percent < rule.percent - (REARM_PERCENT if stood.raised else 0.0):
        return None
    remedy = {
        "disk": "Make room, or give the tier a larger disk, before images cannot be stored any more",
        "quota": "Raise it, or those with the lowest scores go on to the next tier",
    }
    message = (
        f"The {fill.of} of the tier {rule.tier} is {fill.percent:.0f} % full, {_room(fill)}. "
        f"{remedy[fill.of]}"
    )
    details |= {
        "percent": round(fill.percent, 1),
        "used_bytes": fill.used_bytes,
        "size_bytes": fill.size_bytes,
    }
    return Raised(rule.rule, message, details)


def _room(fill: Fill) -> str:
    free_bytes = fill.size_bytes - fill.used_bytes
    size, unit = (abs(free_bytes) / 1e9, "GB") if abs(free_bytes) >= 1e8 else (abs(free_bytes) / 1e6, "MB")
    return f"{size:.1f} {unit} are free" if free_bytes >= 0 else f"{size:.1f} {unit} too many"


def _images(number: int) -> str:
    return f"{number} image" if number == 1 else f"{number} images"


def _all_images(number: int) -> str:
    return "The one image has" if number == 1 else f"All {number} images have"


def _span(seconds: float) -> str:
    for unit, length_s in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.3g} {unit}"
    return f"{seconds:.3g} s"
