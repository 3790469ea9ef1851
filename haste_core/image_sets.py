"""Image sets: the images of one plate, well and site, that are decided about as one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from haste_core.fields import Number, PlainText
from haste_core.findings import unwritten

MAX_KEY_CHARACTERS = 200
MAX_EXPECTED = 10_000

_FieldName = Annotated[PlainText, Field(max_length=100)]


class ExpectedMembers(BaseModel):
    """The images that each set should have: so many planes of each channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[_FieldName, ...] = Field(min_length=1, max_length=100)
    planes: int = Field(default=1, ge=1, le=MAX_EXPECTED)


_Expected = Annotated[
    Annotated[int, Field(ge=1, le=MAX_EXPECTED), Tag(unwritten("number"))]
    | Annotated[ExpectedMembers, Tag(unwritten("members"))],
    Discriminator(
        lambda value: unwritten("members" if isinstance(value, Mapping | ExpectedMembers) else "number")
    ),
]


class ImageSetSpec(BaseModel):
    """Which images make a set, and how one score comes from theirs.

    Attributes
    ----------
    group_by : tuple of str
        Fields of the jobs' metadata. Images that have the same values of all of them are one set; an image
        that lacks one of them is decided about alone.
    expected : int or ExpectedMembers
        How many images a set has, or of which channels (the field ``channel``), with how many planes each.
    channel : str, optional
        The reference; needed if `combine` is ``reference``.
    combine : str
        ``reference``: the reference's score is the set's. ``min``, ``mean``, ``max``: of the channels'.
    z : str
        ``best``: of a channel's planes the one with the highest score speaks for the channel. ``all``: all
        planes count alike.
    group_timeout_s : float
        How long a set is waited for, in seconds since the features of its first image came. In a stream that
        is complete, only images that were submitted are waited for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group_by: tuple[_FieldName, ...] = Field(min_length=1, max_length=8)
    expected: _Expected
    channel: _FieldName | None = None
    combine: Literal["reference", "min", "mean", "max"] = "reference"
    z: Literal["best", "all"] = "best"
    group_timeout_s: Annotated[Number, Field(gt=0, le=1e7)] = 600.0

    @model_validator(mode="after")
    def _has_its_reference(self) -> Self:
        if self.combine == "reference" and self.channel is None:
            raise ValueError("combine: reference needs the name of a channel, such as channel: DAPI")
        if (
            isinstance(self.expected, ExpectedMembers)
            and self.channel is not None
            and self.channel not in self.expected.channels
        ):
            raise ValueError(f"channel {self.channel!r} is none of those that are expected")
        return self

    def key_of(self, metadata: Mapping[str, Any]) -> str | None:
        """Name the set of an image by its metadata; None if it lacks a field."""
        if lacking(self.group_by, metadata):
            return None
        values = [metadata[name] for name in self.group_by]
        # 3 and "3" are one site: who reads names gives numbers, other clients may give text.
        key = json.dumps([str(value) for value in values], ensure_ascii=False)
        return key if len(key) <= MAX_KEY_CHARACTERS else hashlib.sha256(key.encode()).hexdigest()


def lacking(group_by: Iterable[str], metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """List the fields without which an image belongs to no set."""
    return tuple(name for name in group_by if isinstance(metadata.get(name), dict | list | None))


_ALONE = "; it belongs to no image set, since it has no "


def told_alone(spec: ImageSetSpec | None, metadata: Mapping[str, Any]) -> str:
    """Say why an image is decided about alone, to add to the reason; empty if nobody would wonder."""
    lacks = () if spec is None else lacking(spec.group_by, metadata)
    return f"{_ALONE}{', '.join(lacks)}" if lacks else ""


def reason_alone(reason: str) -> str:
    """Return a decision's reason without what `told_alone` has added."""
    return reason.partition(_ALONE)[0]


class MemberState(Enum):
    """How far an image of a set is."""

    COMING = "coming"  # its features are not there yet
    WAITING = "waiting"  # its features are there, and nothing was decided about it
    DECIDED = "decided"
    LEFT_OUT = "left out"  # it failed, was cancelled, or its tier is not asked for


@dataclass(frozen=True)
class Member:
    """An image of a set.

    Attributes
    ----------
    source_id : str
    metadata : mapping
    state : MemberState
    since : float, optional
        When its features came, seconds since 1970.
    """

    source_id: str
    metadata: Mapping[str, Any]
    state: MemberState
    since: float | None = None

    @property
    def channel(self) -> str | None:
        """Its channel, as text."""
        channel = self.metadata.get("channel")
        return None if channel is None else str(channel)

    @property
    def shown_channel(self) -> str:
        """Its channel, as sentences name it."""
        return "the images" if self.channel is None else f"channel {self.channel}"


@dataclass(frozen=True)
class MemberScore:
    """What an interestingness function says of an image of a set: a score, or why there is none."""

    member: Member
    score: float | None
    why_none: str = ""


def missing(spec: ImageSetSpec, members: Sequence[Member]) -> tuple[str, ...]:
    """Say which expected images are not there; those that failed count as there."""
    if isinstance(spec.expected, int):
        lacking = spec.expected - len(members)
        return (f"{lacking} of {spec.expected} images",) if lacking > 0 else ()
    there = Counter(member.channel for member in members)
    planes = spec.expected.planes
    return tuple(
        f"channel {channel}"
        if planes == 1
        else f"{planes - there[channel]} of {planes} planes of channel {channel}"
        for channel in spec.expected.channels
        if there[channel] < planes
    )


def waits_until(spec: ImageSetSpec, members: Sequence[Member], *, more_come: bool) -> float | None:
    """Tell until when a set is waited for; None if all its images are there, with features or failed.

    Parameters
    ----------
    spec : ImageSetSpec
    members : sequence of Member
    more_come : bool
        Whether expected images that are not there may come yet; if not, nobody waits for them.

    Returns
    -------
    float or None
        Seconds since 1970.
    """
    awaited = (more_come and missing(spec, members)) or any(
        member.state is MemberState.COMING for member in members
    )
    if not awaited:
        return None
    first = min((member.since for member in members if member.since is not None), default=0.0)
    return first + spec.group_timeout_s


def counts(spec: ImageSetSpec, member: Member) -> bool:
    """Tell whether an image's score has a part in its set's."""
    has_features = member.state in (MemberState.WAITING, MemberState.DECIDED)
    return has_features and (spec.combine != "reference" or member.channel == spec.channel)


def combined(spec: ImageSetSpec, scores: Sequence[MemberScore]) -> tuple[float | None, str]:
    """Make one score of those of a set.

    Parameters
    ----------
    spec : ImageSetSpec
    scores : sequence of MemberScore
        Of the images that count; those without a score have no part in it, unless none has one.

    Returns
    -------
    score : float or None
        In [0, 1]; None if no image has a score.
    how : str
        For the decision's reason: ``DAPI gave 0.8123``.
    """
    spoken = _spoken(spec, scores)
    if not spoken:
        return None, _why_none(spec, scores)
    score, count = _of_all(spec, spoken), sum(map(len, spoken.values()))
    if count == 1:
        return score, f"{next(iter(spoken))} gave {score:.4f}"
    how = "mean" if spec.combine == "reference" else spec.combine
    parts = ", ".join(f"{channel} {_shown(planes)}" for channel, planes in spoken.items())
    return score, f"the {how} of {parts} is {score:.4f}"


def combined_score(spec: ImageSetSpec, scores: Iterable[MemberScore]) -> float | None:
    """Make one score of those of a set, as `combined`, without saying how."""
    spoken = _spoken(spec, scores)
    return _of_all(spec, spoken) if spoken else None


def _spoken(spec: ImageSetSpec, scores: Iterable[MemberScore]) -> dict[str, list[float]]:
    """Collect the scores that speak for each channel."""
    by_channel: defaultdict[str, list[float]] = defaultdict(list)
    for one in scores:
        if one.score is not None:
            by_channel[one.member.shown_channel].append(one.score)
    if spec.z == "best":
        return {channel: [max(planes)] for channel, planes in by_channel.items()}
    return dict(by_channel)


def _of_all(spec: ImageSetSpec, spoken: Mapping[str, Sequence[float]]) -> float:
    values = [value for planes in spoken.values() for value in planes]
    if spec.combine == "min":
        return min(values)
    if spec.combine == "max":
        return max(values)
    return min(max(sum(values) / len(values), 0.0), 1.0)


def _why_none(spec: ImageSetSpec, scores: Iterable[MemberScore]) -> str:
    whys = dict.fromkeys(f"{one.member.shown_channel}: {one.why_none}" for one in scores)
    if not whys:
        what = f"channel {spec.channel}" if spec.combine == "reference" else "any image"
        return f"no score: there are no features of {what}"
    return "no score: " + "; ".join(list(whys)[:5])


def _shown(planes: Sequence[float]) -> str:
    return "/".join(f"{value:.4f}" for value in planes[:5]) + ("/…" if len(planes) > 5 else "")


def described(spec: ImageSetSpec, members: Sequence[Member]) -> str:
    """Say which set this is, what belongs to it, and what does not although it should."""
    values = members[0].metadata
    name = " ".join(f"{field} {values.get(field)}" for field in spec.group_by)
    failed = [member for member in members if member.state is MemberState.LEFT_OUT]
    coming = [member for member in members if member.state is MemberState.COMING]
    absent = [
        *(f"{what} missing" for what in missing(spec, members)),
        *(
            f"{_listed(those)} {how}"
            for those, how in ((failed, "failed"), (coming, "not there yet"))
            if those
        ),
    ]
    there = [member for member in members if member not in failed and member not in coming]
    whole = f"incomplete ({', '.join(absent)})" if absent else "complete"
    return f"image set {name}: {_listed(there)}; {whole}"


def _listed(members: Sequence[Member]) -> str:
    number = Counter(member.channel or member.source_id for member in members)
    names = [f"{name} ({planes} planes)" if planes > 1 else name for name, planes in number.items()]
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    kind = "" if not members or members[0].channel is None else "channel " if len(names) == 1 else "channels "
    return f"{kind}{', '.join(names[:10])}{more}"
