"""The switch between observing and enforcing."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import OTHER, WELLS
from tests.e2e.server_process import ServerProcess
from tests.waiting import wait_for


def test_it_is_said_what_would_move_before_a_stream_enforces(
    page: Page, server: ServerProcess, look: Callable[..., None]
) -> None:
    page.goto(f"/stream/{OTHER}")
    page.get_by_role("link", name="enforce…").click()
    expect(page.get_by_text(f"{len(WELLS) - 1} images")).to_contain_text("would move now")
    look("mode")
    page.get_by_role("button", name="Enforce from now on").click()

    expect(page.get_by_text("enforces: images go to their tiers")).to_be_visible()

    def has_moved() -> bool:
        unmoved = server.call("GET", f"/HASTE/stream/{OTHER}/mode").json()["unmoved"]
        return unmoved["count"] == 0

    wait_for(has_moved)
    page.get_by_role("link", name="only observe…").click()
    expect(page.get_by_role("button", name="Only observe from now on")).to_be_visible()
