"""The page of a stream's measurements."""

import re

import pytest

from tests.integration.api.conftest import Api
from tests.integration.web.conftest import decide_all, elements, look, measure, seen

DECIDED = {"taskSequential": ["focus-score", "tier"]}


@pytest.fixture
def plate(api: Api) -> Api:
    """Return a server that has measured a plate of six wells, in two minutes."""
    for number, well in enumerate(["A01", "A02", "A03", "B01", "B02", "B03"]):
        about = {"metadata": {"plate": "P1", "well": well}, "timestamp": 1_790_000_000.0 + 24 * number}
        api.submit(source_id=well, stream_id="plate7", tasks=DECIDED, index=10 + number, **about)
    for number in range(6):
        measured = {"plls": -2.5 + 0.4 * number, "snr": 2.0 * number, "note": "text", "empty": False}
        api.run("focus-score", **measured, noise_lift=0, speck_lift=0, size_bytes=1000)
    decide_all(api)
    return api


def test_any_feature_can_be_looked_at(plate: Api) -> None:
    page = look(plate, "/stream/plate7/measurements")
    options = re.findall(r"<option( selected)?>(\w+)</option>", page)
    assert (" selected", "plls") in options, "what the function looks at comes first"
    assert {name for _, name in options} >= {"plls", "snr", "noise_lift"}
    assert {name for _, name in options}.isdisjoint({"empty", "note"})

    page = look(plate, "/stream/plate7/measurements?feature=snr")

    (histogram,) = elements(page, lambda one: "Histogram" in (one.attributes.get("aria-label") or ""))
    assert "Histogram of snr" in str(histogram.attributes["aria-label"])
    assert sum(int(number) for number in re.findall(r": (\d+) images in tier", page)) == 6
    look(plate, "/stream/plate7/measurements?feature=<b>")


def test_scores_are_drawn_over_index_and_time(plate: Api) -> None:
    page = look(plate, "/stream/plate7/measurements")

    assert len(elements(page, lambda one: one.name == "circle")) == 2 * 6
    assert "number of the image" in page
    assert "minutes since the first image" in page


def test_wells_are_drawn_on_their_plate(plate: Api) -> None:
    page = look(plate, "/stream/plate7/measurements")

    assert "Plate P1" in seen(page)
    assert "A01: mean score 0.007 of 1 images; 1 in tierD" in page
    assert len(elements(page, lambda one: one.attributes.get("class") == "none")) == 96 - 6
    assert elements(page, lambda one: "style" in one.attributes) == []


def test_a_stream_without_wells_or_numbers_has_no_empty_figures(api: Api) -> None:
    measure(api, {"A01": -1.0})
    page = seen(look(api, "/stream/plate7/measurements"))
    assert "Plate" not in page

    api.submit(stream_id="other")
    assert "Nothing was decided" in seen(look(api, "/stream/other/measurements"))
    assert "there is no stream" in look(api, "/stream/none/measurements", status=404)
