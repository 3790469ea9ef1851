import base64
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tifffile

from haste_apps.report import THUMBNAILS_PER_TIER, ReportInput, spread, write_report
from haste_client import Result
from haste_core.errors import BadInputError

POLICY = {
    "intervals": [{"lo": 0, "hi": 0.25, "tier": "tierD"}, {"lo": 0.25, "hi": 1, "tier": "tierA"}],
    "undefined": "empty",
}


class Page(HTMLParser):
    """Collects what the tests look at; complains of tags that are not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
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


def done(number: int, score: float | None, tier: str) -> Result:
    return Result(
        f"{number}.tif", number, state="done", code=200, interestingness=score, tier=tier, size_bytes=9
    )


def draw(path: Path, results: list[Result], **options: object) -> Page:
    content = ReportInput(
        title="A plate",
        results=results,
        paths={result.source_id: Path(result.source_id) for result in results},
        policy=POLICY,
        **options,  # type: ignore[arg-type]
    )
    write_report(path / "report.html", content, thumbnail=lambda source: b"jpeg of " + source.name.encode())
    return Page((path / "report.html").read_text(encoding="utf-8"))


def test_thumbnails_stand_by_tier_sorted_by_score(tmp_path: Path) -> None:
    page = draw(
        tmp_path,
        [done(1, 0.1, "tierD"), done(2, 0.5, "tierA"), done(3, 0.9, "tierA"), done(4, None, "empty")],
    )
    sources = [str(image["src"]) for image in page.all("img")]
    drawn = [base64.b64decode(source.partition("base64,")[2]).decode() for source in sources]
    assert drawn == ["jpeg of 3.tif", "jpeg of 2.tif", "jpeg of 1.tif", "jpeg of 4.tif"]
    assert re.search(r"tierA\s*2\s*18 B\s*0\.700", page.text)


def test_the_histogram_counts_each_score_once_between_the_tiers_borders(tmp_path: Path) -> None:
    scores = [0.0, 0.01, 0.24, 0.25, 0.5, 1.0]
    page = draw(
        tmp_path, [done(n, score, "tierA") for n, score in enumerate(scores)] + [done(9, None, "empty")]
    )
    labels = re.findall(r"([\d.]+) to ([\d.]+): (\d+) images", page.text)
    assert [(float(low), int(count)) for low, _, count in labels] == [
        (0.0, 2), (0.225, 1), (0.25, 1), (0.5, 1), (0.975, 1)
    ]  # fmt: skip
    borders = [line["x1"] for line in page.all("line") if line.get("class") == "border"]
    assert borders == ["30.0", "230.0", "830.0"]


def test_names_and_messages_cannot_smuggle_html_in(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    failed = Result(f"{evil}b", 2, state="failed", code=502, message=evil)
    good = Result(
        f"{evil}a", 1, state="done", code=200, interestingness=1.0, tier="tierA", message=f'"{evil}'
    )
    page = draw(tmp_path, [good, failed], warnings=[evil])
    assert page.all("script") == []
    assert page.text.count(evil) >= 4


def test_nothing_outside_the_file_is_referred_to(tmp_path: Path) -> None:
    draw(tmp_path, [done(1, 0.5, "tierA")])
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|<link|<script|@import|url\(", html)


def test_two_thousand_images_stay_usable(tmp_path: Path) -> None:
    page = draw(tmp_path, [done(n, n / 2000, "tierA") for n in range(2000)])
    assert len(page.all("img")) == THUMBNAILS_PER_TIER
    assert f"{2000 - THUMBNAILS_PER_TIER} more are not" in page.text
    names = re.findall(r"(\d+)\.tif", page.text)
    assert (names[0], names[-1]) == ("1999", "0")


def test_an_empty_run_has_a_report_too(tmp_path: Path) -> None:
    assert "0 images" in draw(tmp_path, []).text


def test_an_image_that_cannot_be_drawn_spoils_nothing(tmp_path: Path) -> None:
    def refuse(_path: Path) -> bytes:
        raise BadInputError("gone")

    content = ReportInput(
        title="x", results=[done(1, 0.5, "tierA")], paths={"1.tif": Path("1.tif")}, policy=POLICY
    )
    write_report(tmp_path / "r.html", content, thumbnail=refuse)
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert page.all("img") == []
    assert "1.tif" in page.text


def test_real_files_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "1.tif"
    tifffile.imwrite(path, np.arange(300 * 200, dtype=np.uint16).reshape(300, 200))
    content = ReportInput(title="x", results=[done(1, 0.5, "tierA")], paths={"1.tif": path}, policy=POLICY)
    write_report(tmp_path / "r.html", content)
    (image,) = Page((tmp_path / "r.html").read_text(encoding="utf-8")).all("img")
    assert base64.b64decode(str(image["src"]).partition("base64,")[2]).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("total", [0, 1, 59, 60, 61, 1000])
def test_a_spread_keeps_order_and_both_ends(total: int) -> None:
    items = [done(n, 0.5, "tierA") for n in range(total)]
    chosen = [result.job_id for result in spread(items, 60)]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(total, 60)
    if total:
        assert (chosen[0], chosen[-1]) == (0, total - 1)
