"""Borders that are dragged on the histogram: what would move is told at once, nothing moves before Apply."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import NARROW, OTHER, STREAM, WELLS, number_in, watch
from tests.e2e.server_process import ServerProcess
from tests.waiting import wait_for

DECIDED = len(WELLS) - 1
LOWEST, HIGHEST = 0, 2  # of the three borders


@pytest.fixture
def stream(page: Page) -> Page:
    page.goto(f"/stream/{STREAM}")
    expect(slider(page, HIGHEST)).to_be_visible()
    return page


def slider(page: Page, number: int) -> Locator:
    return page.get_by_role("slider").nth(number)


def border(page: Page, number: int) -> float:
    return float(page.locator('input[name="border"]').nth(number).input_value())


def would_hold(page: Page) -> dict[str, int]:
    """Read the table: how many images each tier would hold."""
    rows = page.locator("#live-tiers tr[data-tier]")
    return {
        row.get_attribute("data-tier") or "": number_in(row.locator('[data-would="images"]').text_content())
        for row in rows.all()
    }


def holds(page: Page) -> dict[str, int]:
    rows = page.locator("#live-tiers tr[data-tier]")
    return {
        row.get_attribute("data-tier") or "": number_in(row.locator("td").nth(1).text_content())
        for row in rows.all()
    }


def drag(page: Page, number: int, *, to: float) -> None:
    box = slider(page, number).bounding_box()
    field = page.locator("#figure .axis").bounding_box()
    assert box is not None
    assert field is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(field["x"] + field["width"] * to, box["y"] + 20, steps=4)


def scores(server: ServerProcess, stream_id: str = STREAM) -> list[float]:
    found = server.call("GET", f"/HASTE/stream/{stream_id}/images", params={"limit": 100}).json()["images"]
    return [image["score"] for image in found]


def test_a_border_is_dragged_by_mouse(stream: Page, server: ServerProcess, look: Callable[..., None]) -> None:
    before = holds(stream)

    drag(stream, HIGHEST, to=0.99)

    # The button is still down: this is what the page counts by itself.
    assert border(stream, HIGHEST) == pytest.approx(0.99, abs=0.006)
    told = number_in(stream.locator("#foreseen").text_content())
    counted = would_hold(stream)
    best = sum(score >= border(stream, HIGHEST) for score in scores(server))
    assert (counted["tierA"], sum(counted.values())) == (best, DECIDED)
    assert counted["tierB"] == before["tierB"] + before["tierA"] - best
    assert told == before["tierA"] - best > 0
    moved = stream.locator('.gallery[data-tier="tierB"] li.moving')
    expect(moved.first).to_contain_text("from tierA")

    stream.mouse.up()
    expect(stream.locator("#foreseen")).to_contain_text(f"Exactly {told} image")
    assert would_hold(stream) == counted
    look("stream-what-if")
    assert holds(stream) == before, "nothing may move before it is applied"

    stream.get_by_role("button", name="Discard").click()
    assert border(stream, HIGHEST) == 0.75
    expect(stream.locator("#live-tiers[data-busy], li.moving")).to_have_count(0)
    expect(stream.get_by_role("button", name="Discard")).to_be_hidden()


def test_a_border_is_moved_by_keyboard_and_by_number(stream: Page) -> None:
    slider(stream, LOWEST).focus()
    for key in ("ArrowRight", "PageUp", "ArrowLeft", "ArrowLeft"):
        stream.keyboard.press(key)
    assert border(stream, LOWEST) == pytest.approx(0.25 + 0.1 - 0.005)
    expect(slider(stream, LOWEST)).to_have_attribute("aria-valuenow", "0.345")

    stream.keyboard.press("End")
    assert border(stream, LOWEST) == pytest.approx(0.495), "it stops before the next one"
    expect(stream.locator("#foreseen")).to_contain_text("Exactly")
    stream.get_by_label("tierC from").fill("0.02")
    expect(slider(stream, LOWEST)).to_have_attribute("aria-valuenow", "0.02")
    expect(stream.locator("#foreseen")).to_contain_text("Exactly")
    stream.get_by_label("tierC from").fill("0.9")
    expect(stream.locator("#foreseen")).to_have_text("Borders have to rise from 0 to 1.")
    stream.get_by_label("tierC from").fill("0.25")
    expect(stream.locator("#foreseen")).to_have_text("")


def test_a_border_is_dragged_by_finger(browser: Browser, server: ServerProcess) -> None:
    context = browser.new_context(base_url=server.url, viewport=NARROW, has_touch=True, is_mobile=True)
    page = context.new_page()
    faults = watch(page, server.url)
    page.goto(f"/stream/{STREAM}")
    handle = slider(page, HIGHEST)
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    assert box["width"] >= 24
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 5):
        point = {"x": x - 8 * step, "y": y + step}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    expect(page.locator("#foreseen")).to_contain_text("Exactly")
    assert 0.51 < border(page, HIGHEST) < 0.72
    context.close()
    assert faults == []


def test_what_is_being_changed_is_not_renewed(stream: Page) -> None:
    slider(stream, HIGHEST).press("ArrowRight")
    expect(stream.locator("#foreseen")).to_contain_text("Exactly")

    with stream.expect_response(lambda answer: answer.url.endswith(f"/stream/{STREAM}")):
        stream.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(stream.locator("#live-time")).to_contain_text("As of")

    assert border(stream, HIGHEST) == pytest.approx(0.755)
    expect(stream.locator("#foreseen")).to_contain_text("Exactly")


def test_applying_puts_images_to_other_tiers(page: Page, server: ServerProcess) -> None:
    page.goto(f"/stream/{OTHER}")
    drag(page, HIGHEST, to=0.9)
    page.mouse.up()
    expect(page.locator("#foreseen")).to_contain_text("Exactly")
    wanted = would_hold(page)
    page.get_by_role("button", name="Apply").click()

    expect(page).to_have_url(re.compile(f"/stream/{OTHER}#tiers$"))
    assert border(page, HIGHEST) == pytest.approx(0.9, abs=0.006)

    def tiers() -> bool:
        told = server.call("GET", f"/HASTE/stream/{OTHER}").json()
        return {name: tier["count"] for name, tier in told["tiers"].items()} == {
            name: count for name, count in wanted.items() if count
        }

    wait_for(tiers)

    def shown() -> bool:
        page.reload()
        return holds(page) == wanted

    wait_for(shown)
