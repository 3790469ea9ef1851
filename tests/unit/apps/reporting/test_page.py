import base64
import re
from itertools import pairwise

import pytest

from haste_apps.reporting.page import THUMBNAILS_PER_TIER, pictures_in
from haste_apps.reporting.thumbnails import spread
from haste_client.answers import StreamProgress
from haste_core.jobspec import TIMESTAMPS
from tests.unit.apps.reporting.streams import decision, image, many_images, page_of, stream

HOSTILE = """<script>alert("x")</script>'"><img src=x onerror=alert(1)>{{ 7 * 7 }}"""


def test_thumbnails_stand_by_tier_the_best_first() -> None:
    page = page_of([image(1, 0.1), image(2, 0.8), image(3, 0.9), image(4, None)])
    drawn = [base64.b64decode(str(one["src"]).partition("base64,")[2]).decode() for one in page.all("img")]
    assert drawn == ["3.tif", "2.tif", "1.tif", "4.tif"]


def test_the_table_of_tiers_is_the_papers_with_shares_and_sizes() -> None:
    page = page_of([image(1, 0.8), image(2, 0.9), image(3, 0.1), image(4, None, size_bytes=2_500)])
    lines = re.findall(r"<tr><td class=\"word\">(.*?)</tr>", page.html)
    rows = [re.findall(r">([^<>]+)<", line + "<") for line in lines[:5]]
    assert [row[0] for row in rows] == ["tierA", "tierB", "tierC", "tierD", "empty"]
    assert rows[0][1:] == ["0.75 to 1.00", "2", "50.0%", "18 B", "0.850", "-1.002"]
    assert rows[1][1:] == ["0.50 to 0.75", "0", "0.0%", "0 B", "-", "-"]
    assert rows[4][1:] == ["no score", "1", "25.0%", "2.5 kB", "-", "-"]


def test_deleted_images_are_counted_apart() -> None:
    gone = [image(number, 0.1, tier="bin", deleted_at=1.0, place=None) for number in (3, 4)]
    page = page_of([image(1, 0.8), image(2, 0.9), *gone])
    assert "2 images with a decision, 2 more deleted from a trash (18 B, not counted below)." in page.text
    lines = re.findall(r"<tr><td class=\"word\">(.*?)</tr>", page.html)
    assert not any("bin" in line for line in lines)
    assert len(page.all("img")) == 2


def test_each_score_is_counted_once_between_the_borders() -> None:
    scores = [0.0, 0.01, 0.24, 0.25, 0.5, 1.0]
    page = page_of([image(number, score) for number, score in enumerate(scores)] + [image(9, None)])
    labels = re.findall(r"([\d.]+) to ([\d.]+): (\d+) images in (tier[A-D])", page.text)
    assert [(float(low), int(count), tier) for low, _, count, tier in labels[:5]] == [
        (0.0, 2, "tierD"), (0.225, 1, "tierD"), (0.25, 1, "tierC"), (0.5, 1, "tierB"), (0.975, 1, "tierA")
    ]  # fmt: skip


def test_borders_of_the_feature_are_where_the_logistic_function_crosses_those_of_the_score() -> None:
    page = page_of(many_images(100))
    borders = re.findall(r'class="border"></line><text[^>]*>(-?[\d.]+)<', page.html)
    # 1 / (1 + exp(-k (x - x0))) is 1/4 at x0 - ln 3 / k, 3/4 at x0 + ln 3 / k; ln 3 = 1.0986, k = 4.5.
    assert borders == ["0.25", "0.5", "0.75", "-1.64", "-1.4", "-1.16"]


def test_wells_have_the_colour_and_number_of_their_mean_score() -> None:
    known = [image(1, 0.0, metadata={"well": "B3"}), image(2, 0.5, metadata={"well": "B03"})]
    page = page_of([*known, image(3, 1.0, metadata={"well": "H12"}), image(4, None, metadata={"well": "A1"})])
    assert "B03: mean score 0.250 of 2 images; 1 in tierB, 1 in tierD" in page.text
    assert "Plate of 96 wells" in page.html
    drawn = {
        title: dict(re.findall(r'(\w+)="([^"]*)"', attributes))
        for attributes, title in re.findall(r"<rect([^>]*)><title>(\w\d\d):", page.html)
    }
    assert drawn["H12"]["fill"] == "#fde725"  # the end of viridis
    assert drawn["A01"]["fill"] == "#9aa0a6"
    assert float(drawn["B03"]["x"]) - float(drawn["A01"]["x"]) == 80.0
    assert float(drawn["H12"]["y"]) - float(drawn["A01"]["y"]) == 280.0
    assert page.html.count('class="none"') == 96 - 3


@pytest.mark.parametrize(("well", "wells"), [("H12", 96), ("I1", 384), ("A13", 384), ("AF48", 1536)])
def test_the_smallest_plate_that_holds_the_wells_is_drawn(well: str, wells: int) -> None:
    page = page_of([image(1, metadata={"well": well})])
    assert f"Plate of {wells} wells" in page.html
    assert page.html.count('class="none"') == wells - 1


def test_wells_by_times_stand_in_the_order_of_time() -> None:
    images = [
        image(number, (number + 1) / 20, metadata={"well": f"A{number % 2 + 1}", "t": time_point})
        for number, time_point in enumerate([10, 10, 2, 2, 1])
    ]
    page = page_of(images)
    cells = re.findall(r"<title>(A\d\d, \d+): mean score ([\d.]+)", page.html)
    in_order = ["A01, 1", "A01, 2", "A02, 2", "A01, 10", "A02, 10"]
    assert cells == list(zip(in_order, ["0.250", "0.150", "0.200", "0.050", "0.100"], strict=True))


def test_without_time_points_the_clock_makes_the_grid_if_wells_were_visited_again() -> None:
    images = [
        image(n, metadata={"well": f"C{n % 2 + 4}"}, timestamp=1_790_000_000.0 + 60 * n) for n in range(4)
    ]
    times = re.findall(r"<title>C04, (\d\d-\d\d \d\d:\d\d:\d\d)", page_of(images).html)
    assert times == ["09-21 14:13:20", "09-21 14:15:20"]
    scanned_once = [one.model_copy(update={"metadata": {"well": f"C{one.job_id + 1}"}}) for one in images]
    assert "over time" not in page_of(scanned_once).text


def test_names_and_messages_cannot_smuggle_html_in() -> None:
    odd = image(
        1,
        tier="x" + HOSTILE,
        source_id=HOSTILE,
        reason=HOSTILE,
        metadata={"plate": HOSTILE, "well": "A1", "t": HOSTILE},
    )
    page = page_of(
        [odd, image(2, metadata={"plate": HOSTILE, "well": "A1", "t": "2"})],
        decisions=[decision(1, HOSTILE, made_by=HOSTILE), decision(2, "tierA", supersedes=1, origin="pin")],
        failures=[(HOSTILE, HOSTILE)],
        warnings=[HOSTILE],
        title=HOSTILE,
        thumbnail=lambda _: None,
    )
    assert page.all("script") == page.all("img") == []
    assert {name for _, attributes in page.tags for name in attributes if name.startswith("on")} == set()
    assert page.text.count(HOSTILE) >= 10


def test_nothing_outside_the_file_is_referred_to() -> None:
    html = page_of(many_images(50)).html
    assert not re.search(r"https?://|<link|<script|@import|url\(", html)


def test_what_cannot_be_read_is_told_instead_of_drawn() -> None:
    page = page_of([image(1), image(2)], thumbnail=lambda one: b"x" if one.job_id == 2 else None)
    assert len(page.all("img")) == 1
    assert "1 images could not be read on this machine" in page.text


def test_the_page_stays_small_however_many_images_there_are() -> None:
    images = many_images(10_000)
    page = page_of(images)
    assert len(page.all("img")) == pictures_in(images) == 5 * THUMBNAILS_PER_TIER
    assert len(page.html) < 1_000_000
    shown = re.findall(r"score (0\.\d+), plls", page.text)
    assert all(float(one) >= float(other) for one, other in pairwise(shown))


def test_a_stream_without_decisions_has_a_page_too() -> None:
    progress = StreamProgress(jobs=5, open=3, done=0, failed=2)
    page = page_of(
        [], stream=stream(mode="observe", progress=progress), failures=[("a.tif", "gone"), ("b.tif", "cut")]
    )
    assert "0 images with a decision, 2 failed, 3 not finished yet." in page.text
    assert re.search(r"a\.tif\s*gone", page.text)
    assert "only observes" in page.text


def test_images_that_are_all_undefined_have_no_histogram_of_scores() -> None:
    page = page_of([image(number, None, features={"plls": -1.0}) for number in range(3)])
    assert "-1.000 to" not in page.text.partition("plls")[0]
    assert "100.0%" in page.text
    assert len(page.all("svg")) == 1


def test_one_value_in_one_tier_is_drawn() -> None:
    page = page_of([image(number, 0.5) for number in range(3)])
    assert re.search(r"-1\.3\d\d: 3 images in tierB|-1\.4\d\d to -1\.3\d\d: 3 images in tierB", page.text)


def test_how_it_was_decided_is_told_with_what_changed() -> None:
    page = page_of(
        [image(1)],
        decisions=[
            decision(1, "tierD"),
            decision(2, "tierD"),
            decision(3, "tierA", origin="pin", made_by="ada", supersedes=1),
        ],
    )
    told = re.sub(r"\s+", " ", page.text[page.text.index("How it was decided") :])
    assert "policyenforcelogistic(feature=plls, k=4.5, x0=-1.4)" in told
    assert "0.1.021" in told  # version, two decisions, one of them valid
    assert "pin (ada)enforce" in told
    assert re.search(r"pin\s*tierD\s*tierA\s*1", told)


@pytest.mark.parametrize("total", [0, 1, 59, 60, 61, 1000])
def test_a_spread_keeps_order_and_both_ends(total: int) -> None:
    chosen = spread(range(total), 60)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(total, 60)
    if total:
        assert (chosen[0], chosen[-1]) == (0, total - 1)


def test_times_of_all_sorts_are_drawn() -> None:
    wells = [{"plate": "p", "well": well} for well in ("A01", "A02")]
    named = [image(number, metadata={**wells[0], "t": t}) for number, t in enumerate(["1²", "2", "٣", "x"])]
    assert "1²" in page_of(named).text
    for first in TIMESTAMPS:
        step = -60.0 if first > 0 else 60.0
        clocked = [image(n, metadata=wells[n % 2], timestamp=first + n * step) for n in range(6)]
        assert len(page_of(clocked).all("table")) > 0
