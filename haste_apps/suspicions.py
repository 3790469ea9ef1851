"""Signs that the scores of a folder mean little, and what to do then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

CROWDED_SHARE = 0.8
NEAR_AN_END = 0.05
MIDDLE = 0.5
FEWEST_SCORES = 5
"""Below this many, a crowd says nothing."""

LARGEST_AREA_RATIO = 2.0
"""PLLS is fitted over the frequencies that a field of its size has; twice the area is another range."""


def suspicions(
    scores: Iterable[float | None], measured: Iterable[Mapping[str, Any]], *, of_sets: bool = False
) -> list[str]:
    """Say what makes scores doubtful, in sentences for a microscopist; nothing if all is well.

    Parameters
    ----------
    scores : iterable of float or None
        In [0, 1]; None where undefined.
    measured : iterable of mapping
        What `focus-score` answered of each image, in the same order.
    of_sets : bool
        Each score is that of an image set, in which a channel may be empty.
    """
    listed, of_empty = list(scores), list[float]()
    kinds = mixed_kinds(_noting_empty(listed, measured, of_empty))
    crowds = _crowding([score for score in listed if score is not None])
    return [*crowds, *([] if of_sets else _good_for_nothing(of_empty)), *kinds]


def _noting_empty(
    scores: Iterable[float | None], measured: Iterable[Mapping[str, Any]], of_empty: list[float]
) -> Iterator[Mapping[str, Any]]:
    """Hand on what was measured, one by one, as there may be many, and note the scores of empty fields."""
    for score, features in zip(scores, measured, strict=True):
        if score is not None and features.get("empty") is True:
            of_empty.append(score)
        yield features


def _good_for_nothing(scores: Sequence[float]) -> list[str]:
    high = sum(score > MIDDLE for score in scores)
    if not high:
        return []
    return [
        f"{high} empty field{'s' if high > 1 else ''} scored above {MIDDLE}: noise looks sharp. Name "
        "`undefined_if: empty` under `interestingness` in the pipeline, and they go to the policy's "
        "`undefined` tier."
    ]


def _crowding(scores: Sequence[float]) -> list[str]:
    if len(scores) < FEWEST_SCORES:
        return []
    low = sum(score < NEAR_AN_END for score in scores)
    high = sum(score > 1 - NEAR_AN_END for score in scores)
    for crowd, end in ((low, 0), (high, 1)):
        if crowd > CROWDED_SHARE * len(scores):
            return [_crowd_at(end, crowd, len(scores))]
    if low + high > CROWDED_SHARE * len(scores):
        return [
            f"{low} of {len(scores)} scores lie near 0 and {high} near 1, few between: "
            "the curve is too steep for these images. Try a smaller k in a pipeline of your own; "
            "`haste calibrate` fits one."
        ]
    return []


def _crowd_at(end: int, crowd: int, total: int) -> str:
    direction = "lower" if end == 0 else "higher"
    return (
        f"{crowd} of {total} scores lie near {end}: the curve was fitted to another plate and does not part "
        f"these images. Try a {direction} x0 in a pipeline of your own, near the middle of your images' "
        "plls; `haste calibrate` fits one."
    )


def mixed_kinds(measured: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say that images can hardly be compared, by what `focus-score` answered of each; nothing if they can."""
    kinds = Counter(_kind(features) for features in measured if "dtype" in features)
    if (
        len({(dtype, colour) for dtype, colour, _, _ in kinds}) < 2
        and _area_ratio(kinds) <= LARGEST_AREA_RATIO
    ):
        return []
    listed = ", ".join(f"{count} of {_kind_text(kind)}" for kind, count in kinds.most_common(4))
    more = f" and {len(kinds) - 4} kinds more" if len(kinds) > 4 else ""
    return [
        f"the images are of different kinds ({listed}{more}): a focus score compares images of like content, "
        "size and channel. Score each kind as a stream of its own, with --pattern."
    ]


_Kind = tuple[str, bool, int, int]  # dtype, colour, width, height


def _kind(features: Mapping[str, Any]) -> _Kind:
    return (
        str(features["dtype"]),
        bool(features.get("colour", False)),
        int(features.get("width", 0)),
        int(features.get("height", 0)),
    )


def _area_ratio(kinds: Iterable[_Kind]) -> float:
    areas = [width * height for _, _, width, height in kinds if width and height]
    return max(areas) / min(areas) if areas else 1.0


def _kind_text(kind: _Kind) -> str:
    dtype, colour, width, height = kind
    return f"{dtype}{' colour' if colour else ''} {width} x {height}"
