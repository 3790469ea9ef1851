"""Each view in a browser, with real data."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import BROKEN, STREAM, WAIT_MS, WELLS


def test_streams(page: Page, look: Callable[..., None]) -> None:
    page.goto("/")

    expect(page.get_by_role("heading", name="Streams")).to_be_visible()
    row = page.get_by_role("row").filter(has_text=STREAM)
    expect(row).to_contain_text(f"{len(WELLS)} of {len(WELLS)}")
    mode = row.get_by_text("observes", exact=True).bounding_box()
    assert mode is not None
    assert mode["height"] < 30, "no word is broken in two where there is room"
    look("streams")
    row.get_by_role("link", name=STREAM, exact=True).click()
    expect(page).to_have_url(re.compile(f"/stream/{STREAM}$"))


def test_a_stream(page: Page, look: Callable[..., None]) -> None:
    page.goto(f"/stream/{STREAM}")

    expect(page.get_by_role("heading", name=STREAM)).to_be_visible()
    expect(page.locator("#live-images tbody tr")).to_have_count(len(WELLS))
    expect(page.locator("#live-failures")).to_contain_text("not a readable image")
    look("stream")


def test_what_was_measured(page: Page, look: Callable[..., None]) -> None:
    page.goto(f"/stream/{STREAM}")
    page.get_by_role("link", name="All that was measured").click()

    expect(page.get_by_role("heading", name=f"Plate {STREAM}")).to_be_visible()
    page.get_by_label("Feature").select_option("signal_fraction")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("img", name="Histogram of signal_fraction")).to_be_visible()
    look("measurements")


def test_an_image(page: Page, look: Callable[..., None]) -> None:
    page.goto(f"/stream/{STREAM}?show=best")
    page.locator("#live-images tbody tr").first.get_by_role("link").click()

    expect(page.get_by_role("heading", name="Why this tier")).to_be_visible()
    expect(page.locator("#live-tasks tbody tr")).to_have_count(2)
    look("image")


def test_an_image_that_failed(page: Page, look: Callable[..., None]) -> None:
    page.goto(f"/stream/{STREAM}?show=failed")
    page.locator("#live-images").get_by_role("link", name=BROKEN).click()

    expect(page.get_by_role("button", name="Retry what failed")).to_be_visible()
    expect(page.locator("#live-job .notice")).to_contain_text("focus-score failed: not a readable image")
    look("image-failed")


def test_what_is_not_there(page: Page, look: Callable[..., None]) -> None:
    page.goto("/stream/none")

    expect(page.get_by_role("alert")).to_contain_text("there is no stream")
    look("problem")


def test_a_page_renews_itself_and_can_be_paused(page: Page) -> None:
    page.goto("/")

    expect(page.locator("#live-state")).to_have_text("This page renews itself.")
    page.get_by_role("button", name="Pause").press("Enter")
    expect(page.locator("#live-state")).to_have_text("Renewing is paused.")


def test_the_api_can_be_read_and_tried(page: Page, look: Callable[..., None]) -> None:
    page.goto("/")
    page.get_by_role("link", name="API").click()

    operation = page.locator("#operations-streams-streams_list_streams_stream__get")
    expect(operation).to_be_visible(timeout=WAIT_MS)
    look("api", leaving_out="#api")
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    expect(answer.first).to_contain_text("200")
    expect(answer.first).to_contain_text(STREAM)
