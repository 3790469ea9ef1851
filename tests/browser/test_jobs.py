"""Jobs, workers and news in a browser, with real data."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import BROKEN, STREAM, WELLS
from tests.e2e.server_process import ServerProcess
from tests.waiting import wait_for

NOBODYS = "count-cells"
"""A key that no worker takes."""


def submit(server: ServerProcess, name: str, *, stream_id: str) -> int:
    spec = {"source_url": f"root://nas/{name}", "source_id": name, "stream_id": stream_id, "tasks": NOBODYS}
    job_id = server.call("POST", "/HASTE/job/", json=spec).json()["job_id"]
    assert isinstance(job_id, int)
    return job_id


def test_jobs_are_filtered(page: Page, look: Callable[..., None]) -> None:
    page.goto(f"/jobs?stream={STREAM}")
    rows = page.locator("#live-jobs tbody tr")
    expect(rows).to_have_count(len(WELLS))
    look("jobs")

    page.get_by_label("Text in name or message").fill("b0")
    page.get_by_role("button", name="Find").click()
    expect(rows).to_have_count(5)
    page.get_by_label("State").select_option("failed")
    page.get_by_label("Text in name or message").fill("")
    page.get_by_label("Text in name or message").press("Enter")

    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(BROKEN)


def test_a_failure_is_retried_by_a_click(page: Page, server: ServerProcess) -> None:
    (job,) = server.call("GET", f"/HASTE/jobs/?stream_id={STREAM}&state=failed").json()["jobs"]
    task = job["tasks"]["taskSequential"][0]["Task"]
    page.goto(f"/jobs?stream={STREAM}")

    page.locator("#live-failures").get_by_role("button", name="Retry it").click()

    expect(page.get_by_role("status").first).to_have_text("1 job run again.")
    wait_for(lambda: _attempts(server, task["task_id"]) == task["attempts"] + 1)
    expect(page.locator("#live-failures")).to_contain_text("not a readable image")


def _attempts(server: ServerProcess, task_id: int) -> int:
    task = server.call("GET", f"/HASTE/task/{task_id}").json()["Task"]
    return int(task["attempts"]) if task["task_state"] >= 400 else 0


def test_news_arrive_and_leave_what_was_chosen_and_typed(page: Page, server: ServerProcess) -> None:
    first = submit(server, "A01.tif", stream_id="news")
    page.goto("/jobs?stream=news")
    rows = page.locator("#live-jobs tbody tr")
    expect(rows).to_have_count(1)
    page.get_by_label(f"Choose job {first}").check()
    page.get_by_label("Text in name or message").fill("half a wor")

    second = submit(server, "A02.tif", stream_id="news")

    expect(rows).to_have_count(2)
    expect(page.get_by_label(f"Choose job {first}")).to_be_checked()
    expect(page.get_by_label(f"Choose job {second}")).not_to_be_checked()
    expect(page.get_by_label("Text in name or message")).to_have_value("half a wor")
    page.get_by_label("Choose all on this page").check()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("status").first).to_have_text("2 jobs cancelled.")
    expect(rows.first).to_contain_text("cancelled (410)")


def test_a_page_without_events_renews_itself_all_the_same(page: Page, server: ServerProcess) -> None:
    page.route(re.compile("/HASTE/events"), lambda route: route.fulfill(status=204))
    page.goto("/jobs?stream=polled")
    expect(page.locator("#live-jobs")).to_contain_text("No such job was found")

    submit(server, "A01.tif", stream_id="polled")

    expect(page.locator("#live-jobs tbody tr")).to_have_count(1)


def test_workers_and_queues(page: Page, server: ServerProcess, look: Callable[..., None]) -> None:
    submit(server, "A01.tif", stream_id="unattended")
    page.goto("/workers")

    expect(page.locator("#live-queues")).to_contain_text(f"No worker for key '{NOBODYS}' at site 'default'")
    expect(page.locator("#live-workers tbody tr")).to_have_count(1)
    look("workers")


def test_a_new_job_is_checked_beside_its_text(page: Page, look: Callable[..., None]) -> None:
    page.goto("/jobs/new?stream=typed")
    text = page.get_by_label("The job as JSON")
    spec = text.input_value().replace("1.0", '"high"').replace("focus-score", NOBODYS)
    text.fill(spec)
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("link", name="line 5, column 15").click()
    marked = "[document.activeElement.selectionStart, document.activeElement.selectionEnd]"
    start, end = page.evaluate(marked)
    assert spec[start:end] == '"high"'
    look("new-job")

    text.fill(spec.replace('"high"', "2").replace(', "tier"', "").replace(',\n      "tier"', ""))
    page.get_by_role("button", name="Submit").click()

    expect(page).to_have_url(re.compile(r"/job/\d+$"))
    page.get_by_label("Priority").fill("7.5")
    page.get_by_role("button", name="Change priority").click()
    expect(page.locator("#live-job")).to_contain_text("7.5")
    look("image-waiting")
