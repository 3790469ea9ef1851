"""Streams and images as the server answers them, made up for tests of the report."""

import math
import random
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

from haste_apps.reporting.page import Report, draw_page
from haste_apps.reporting.thumbnails import Thumbnail
from haste_client.answers import DecisionAnswer, ImageAnswer, PipelineAnswer, StreamAnswer, StreamProgress

K, X0 = 4.5, -1.4
POLICY: dict[str, Any] = {
    "intervals": [
        {"lo": 0.0, "hi": 0.25, "tier": "tierD"},
        {"lo": 0.25, "hi": 0.5, "tier": "tierC"},
        {"lo": 0.5, "hi": 0.75, "tier": "tierB"},
        {"lo": 0.75, "hi": 1.0, "tier": "tierA"},
    ],
    "undefined": "empty",
}
PIPELINE = PipelineAnswer(
    name="focus-tier",
    tasks=None,
    interestingness={
        "function": "logistic",
        "features_from": "focus-score",
        "parameters": {"feature": "plls", "k": K, "x0": X0},
    },
    policy=POLICY,
)


class Page(HTMLParser):
    """Collects what the tests look at; complains of tags that are not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def image(number: int, score: float | None = 0.5, tier: str | None = None, **fields: Any) -> ImageAnswer:
    """Make an image whose tier and PLLS follow from its score, unless told otherwise."""
    if tier is None:
        tier = "empty" if score is None else ["tierD", "tierC", "tierB", "tierA"][min(3, int(score * 4))]
    features = {} if not score or score == 1 else {"plls": X0 + math.log(score / (1 - score)) / K}
    given = {
        "job_id": number,
        "source_id": f"{number}.tif",
        "source_url": f"root://nas/{number}.tif",
        "score": score,
        "tier": tier,
        "decided_at": 1_790_000_000.0 + number,
        "decision_id": 1000 + number,
        "features": features,
        "size_bytes": 9,
    }
    return ImageAnswer.model_validate(given | fields)


def many_images(count: int, *, seed: int = 7) -> list[ImageAnswer]:
    """Make images over a plate of 96 wells, every 17th without a score."""
    rng = random.Random(seed)
    return [
        image(
            number,
            None if number % 17 == 0 else rng.random(),
            metadata={
                "plate": "p7",
                "well": f"{'ABCDEFGH'[number % 8]}{number // 8 % 12 + 1}",
                "t": number // 960,
            },
        )
        for number in range(count)
    ]


def decision(number: int, tier: str, **fields: Any) -> DecisionAnswer:
    given = {
        "decision_id": number,
        "job_id": 1,
        "source_id": "1.tif",
        "made_at": 1_790_000_000.0 + number,
        "tier": tier,
        "mode": "enforce",
        "software_version": "0.1.0",
        "interestingness": PIPELINE.interestingness,
        "policy": POLICY,
        "input_sha256": "0" * 64,
    }
    return DecisionAnswer.model_validate(given | fields)


def stream(**fields: Any) -> StreamAnswer:
    given: dict[str, Any] = {
        "stream_id": "plate7",
        "pipeline": PIPELINE,
        "mode": "enforce",
        "created_at": 0.0,
        "progress": StreamProgress(jobs=0, open=0, done=0, failed=0),
    }
    return StreamAnswer(**given | fields)


def report_of(images: Sequence[ImageAnswer], **fields: Any) -> Report:
    given: dict[str, Any] = {
        "stream": stream(),
        "images": images,
        "decisions": (),
        "made_at": 1_790_000_000.0,
        "title": "plate7",
    }
    return Report(**given | fields)


def page_of(
    images: Sequence[ImageAnswer],
    *,
    thumbnail: Thumbnail = lambda image: image.source_id.encode(),
    **fields: Any,
) -> Page:
    return Page(draw_page(report_of(images, **fields), thumbnail))
