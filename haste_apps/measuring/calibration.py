"""What came of a calibration: a curve, the pipeline that it makes, and what it does to the images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import ValidationError

from haste_apps.measuring.samples import Sample
from haste_client.directory import stream_id_for
from haste_core.calibration import LogisticCurve, quantile
from haste_core.errors import InvalidError, Problem
from haste_core.evaluation import area_under, roc_curve
from haste_core.findings import problems_of
from haste_core.interestingness import InterestingnessFunction, ScoredObject, built_in
from haste_core.pipelines import Pipeline
from haste_core.policies import IntervalPolicy
from haste_workers.handlers.focus_score import FocusScoreParameters


@dataclass(frozen=True)
class Target:
    """What a quantile should score, and does.

    Attributes
    ----------
    share : float
        Of the images, below `value`.
    value : float
        Of the feature.
    border, score : float
        The score that it should have, and has.
    """

    share: float
    value: float
    border: float
    score: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted curve and what it was fitted to.

    Attributes
    ----------
    feature : str
    samples : mapping of Sample
        By group: the interesting and the others, or all images.
    shares : tuple of float
        The quantiles that were to get the policy's borders; empty if two groups were parted.
    curve : LogisticCurve
        As in the pipeline.
    pipeline : Pipeline
        With an interestingness function and a policy.
    kinds : tuple of str
        What makes the images hard to compare.
    """

    feature: str
    samples: Mapping[str, Sample]
    shares: tuple[float, ...]
    curve: LogisticCurve
    pipeline: Pipeline
    kinds: tuple[str, ...]

    @property
    def values(self) -> dict[str, list[float]]:
        """The values that were fitted, by group."""
        return {group: sample.values for group, sample in self.samples.items()}

    @property
    def policy(self) -> IntervalPolicy:
        """From scores to tiers."""
        assert isinstance(self.pipeline.policy, IntervalPolicy)
        return self.pipeline.policy

    @cached_property
    def _function(self) -> InterestingnessFunction:
        spec = self.pipeline.interestingness
        assert spec is not None
        return built_in(spec.function, spec.parameters)

    def score(self, value: float) -> float:
        """Score a value of the feature as a server with this pipeline will."""
        return self._function(ScoredObject(features={self.feature: value}, metadata={}))

    def tier(self, value: float) -> str:
        """Name the tier of a value of the feature."""
        return self.policy.tier_for(self.score(value))

    def tiers(self) -> dict[str, Counter[str]]:
        """Count the images that each tier gets, by group; the tiers from the lowest score to the highest."""
        counts = {interval.tier: Counter[str]() for interval in self.policy.intervals}
        for group, values in self.values.items():
            for value in values:
                counts[self.tier(value)][group] += 1
        return counts

    def targets(self) -> list[Target]:
        """Compare what the quantiles score with what they should; none if two groups were parted."""
        if not self.shares:
            return []
        (values,) = self.values.values()
        met = [quantile(sorted(values), share) for share in self.shares]
        borders = borders_of(self.policy)
        return [
            Target(share, value, border, self.score(value))
            for share, value, border in zip(self.shares, met, borders, strict=True)
        ]

    @property
    def area(self) -> float | None:
        """Area under the ROC curve of the two groups, in [0, 1]; None if there is one."""
        return None if self.shares else area_under(roc_curve(*self.values.values()))

    def warnings(self) -> list[str]:
        """Say what makes the curve doubtful, in sentences for a microscopist."""
        if self.shares or self.curve.k > 0:
            return [*self.kinds]
        good, bad = self.samples
        return [
            f"the images in {good} have lower values of {self.feature} than those in {bad}, so k is negative "
            "and low values score high. Are the folders swapped, or do the images show noise?",
            *self.kinds,
        ]


def borders_of(policy: IntervalPolicy) -> list[float]:
    """List the scores at which one tier ends and the next begins."""
    return [interval.lo for interval in policy.intervals[1:]]


def read_policy(path: Path | None) -> IntervalPolicy:
    """Read a policy from a YAML file of its own or from a pipeline's; by default, the paper's.

    Raises
    ------
    InvalidError
        With what is wrong in the file.
    """
    source = files("haste_config") / "policies" / "paper.yaml" if path is None else path
    try:
        value = yaml.safe_load(source.read_text(encoding="utf-8"))
        return IntervalPolicy.model_validate(value.get("policy", value) if isinstance(value, dict) else value)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidError([Problem(str(path), f"cannot be read as YAML: {error}")]) from error
    except ValidationError as error:
        raise InvalidError(Problem(str(path), str(problem)) for problem in problems_of(error)) from error


def blueprint(
    directory: Path,
    name: str | None,
    function: str,
    feature: str,
    asked: FocusScoreParameters,
    policy: IntervalPolicy,
) -> Pipeline:
    """Make a pipeline that scores and tiers by a feature; its curve is any, until `with_curve` gives one.

    Raises
    ------
    InvalidError
        If `name` cannot be a pipeline's.
    """
    folder = stream_id_for(directory.resolve())
    own_name = f"calibrated-{folder.lower().replace('.', '-')}"[:100]
    measuring = asked.model_dump(mode="json", exclude_defaults=True)
    return Pipeline.parse(
        {
            "name": own_name if name is None else name,
            "description": f"Score each image where it is by its {feature}, as fitted to {folder}",
            "tasks": {"taskSequential": ["focus-score", "tier"]},
            "parameters": {"focus-score": measuring} if measuring else {},
            "interestingness": {
                "function": function,
                "features_from": "focus-score",
                "undefined_if": "empty",
                "parameters": {"feature": feature, "k": 1, "x0": 0},
            },
            "policy": policy.model_dump(),
        }
    )


def with_curve(pipeline: Pipeline, curve: LogisticCurve) -> Pipeline:
    """Put a curve into a blueprint; with one of PLLS, the conditions of the shipped pipelines, too."""
    value = pipeline.to_json()
    spec, policy = value["interestingness"], pipeline.policy
    spec["parameters"] |= {"k": curve.k, "x0": curve.x0}
    if spec["parameters"]["feature"] == "plls" and curve.k > 0 and isinstance(policy, IntervalPolicy):
        measuring = value["parameters"].setdefault("focus-score", {})
        measuring["features"] = list(dict.fromkeys([*measuring.get("features", []), "lifts"]))
        spec["undefined_if"] = not_fooled(curve, policy)
    return Pipeline.parse(value)


def not_fooled(curve: LogisticCurve, policy: IntervalPolicy) -> dict[str, str]:
    """Say when PLLS tells nothing of focus, by the reason; ``config/pipelines/focus-tier.yaml`` explains it.

    Parameters
    ----------
    curve : LogisticCurve
        Of PLLS, rising.
    policy : IntervalPolicy
        Where its lowest tier ends, a field is blurred for certain; where its highest begins, it is sharp.
    """
    borders = borders_of(policy) or [0.5]
    lowest, highest = (f"{curve.x0 + math.log(s / (1 - s)) / curve.k:.3f}" for s in (borders[0], borders[-1]))
    middle = f"{curve.x0:.3f}"
    return {
        "empty field, there is nothing but noise on smooth light": "empty",
        "hot pixels or specks make it look sharp": (
            f"plls > {lowest} and speck_lift > 0.25 and plls - speck_lift < {highest}"
        ),
        "too dim to judge, noise makes it look sharp": (
            f"plls > {lowest} and noise_lift > 0.25 or "
            f"plls > {middle} and noise_lift > 0.05 and plls - noise_lift < {middle}"
        ),
    }
