"""The values that a fit or a test is made from, and what was left out of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from haste_apps.measuring.scoring import FileScore
from haste_apps.output import say

FAILURES_SHOWN = 20
REASONS_SHOWN = 5


@dataclass
class Sample:
    """The values of one feature in a group of images.

    Attributes
    ----------
    values : list of float
        Finite.
    left_out : Counter
        How many images have no value that counts, by reason.
    failed : list of FileScore
        Could not be measured.
    """

    values: list[float] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    failed: list[FileScore] = field(default_factory=list)

    @classmethod
    def of(cls, scores: Iterable[FileScore], feature: str) -> Self:
        """Take what came of all files."""
        sample = cls()
        for score in scores:
            sample.add(score, feature)
        return sample

    def add(self, score: FileScore, feature: str) -> None:
        """Take what came of one file."""
        if score.error:
            self.failed.append(score)
            return
        value = score.features.get(feature)
        reason = _why_left_out(score.features, feature, value)
        if reason or value is None:
            self.left_out[reason] += 1
        else:
            self.values.append(value)

    def as_json(self) -> dict[str, Any]:
        """Count the images, and tell why those without a value have none."""
        return {
            "images": len(self.values),
            "left_out": dict(self.left_out),
            "failed": [{"file": one.file, "error": one.error} for one in self.failed],
        }


def _why_left_out(features: Mapping[str, Any], feature: str, value: float | None) -> str:
    """Say why a pipeline with ``undefined_if: empty`` gives an image no score; nothing if it gives one."""
    if features.get("undefined"):
        return str(features["undefined"])
    if features.get("empty"):
        return "empty field"
    if value is None or not math.isfinite(value):
        return str(features.get("undefined_features", {}).get(feature, f"no {feature}"))
    return ""


def left_out_text(samples: Iterable[Sample]) -> str:
    """Say how many images of all are left out, and why; nothing if none is."""
    listed = list(samples)
    reasons = sum((sample.left_out for sample in listed), Counter[str]())
    if not reasons:
        return ""
    images = sum(len(sample.values) for sample in listed) + reasons.total()
    if len(reasons) == 1:
        return f"{reasons.total()} of {images} left out: {next(iter(reasons))}"
    shown = [f"{count}: {reason}" for reason, count in reasons.most_common(REASONS_SHOWN)]
    more = " …" if len(reasons) > REASONS_SHOWN else ""
    return f"{reasons.total()} of {images} left out ({'; '.join(shown)}{more})"


def say_failures(failed: Iterable[FileScore]) -> None:
    """List the images that could not be measured, on stderr."""
    listed = list(failed)
    for one in listed[:FAILURES_SHOWN]:
        say(f"{one.file}: {one.error}")
    if len(listed) > FAILURES_SHOWN:
        say(f"… and {len(listed) - FAILURES_SHOWN} more failures")
