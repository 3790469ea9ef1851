"""A browser that looks at the pages of a real server, where workers have measured real images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import tifffile
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, sync_playwright
from scipy.ndimage import gaussian_filter

from tests.e2e.server_process import ServerProcess, running_server
from tests.services.browser import launch
from tests.waiting import wait_for

STREAM = "plate7"
OTHER = "plate8"
"""The same images: tests may change what is decided about them."""

WELLS = [f"{row}{column:02}" for row in "ABC" for column in range(1, 6)]
SHARP = {"A04", "A05", "B05", "C05"}
BROKEN = "C01"
"""Its file is no image."""

PICTURES = Path(__file__).resolve().parents[2] / "build" / "screenshots"
"""What the pages looked like in the last run."""

NARROW = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}
WAIT_MS = 15_000
_SERIOUS = {"serious", "critical"}


def write_well(path: Path, well: str) -> None:
    """Write an image of 16 bits: grains, sharp or blurred, on a dim ground as cameras see it."""
    if well == BROKEN:
        path.write_bytes(b"no image")
        return
    generator = np.random.default_rng(WELLS.index(well))
    grains = (generator.random((160, 200)) > 0.985).astype(float)
    blur = 1.0 if well in SHARP else 2.6 + 0.08 * WELLS.index(well)
    seen = gaussian_filter(grains, 1.5)
    seen = gaussian_filter(seen / seen.max(), blur)
    light = 600 + 3000 * seen / seen.max() + generator.normal(0, 4, seen.shape)
    tifffile.imwrite(path, light.clip(0, 65535).astype("u2"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Return a server that has looked at a plate: one for all tests of a file."""
    root = tmp_path_factory.mktemp("nas")
    with running_server(
        tmp_path_factory.mktemp("pages") / "data", "--root", f"nas={root}", "--workers", "2"
    ) as started:
        started.wait_until_ready()
        for stream_id in (STREAM, OTHER):
            submit_plate(started, root, stream_id)
        wait_for(lambda: is_decided(started, STREAM) and is_decided(started, OTHER))
        yield started


def submit_plate(server: ServerProcess, root: Path, stream_id: str) -> None:
    """Have the server look at a plate."""
    folder = root / stream_id
    folder.mkdir()
    specs = []
    for number, well in enumerate(WELLS):
        write_well(folder / f"{well}.tif", well)
        specs.append(
            {
                "source_url": f"root://nas/{stream_id}/{well}.tif",
                "source_id": f"{stream_id}/{well}.tif",
                "stream_id": stream_id,
                "index": number,
                "timestamp": 1_790_000_000.0 + 2 * number,
                "metadata": {"plate": stream_id, "well": well},
                "tasks": {"taskSequential": ["focus-score", "tier"]},
            }
        )
    assert server.call("POST", "/HASTE/jobs/", json={"jobs": specs}).status_code in (200, 201)


def is_decided(server: ServerProcess, stream_id: str) -> bool:
    progress = server.call("GET", f"/HASTE/stream/{stream_id}").json()["progress"]
    return progress["open"] == 0 and progress["done"] == len(WELLS) - 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a Chromium without windows: one for all tests of a file."""
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    """Return an empty page; at the end, nothing went wrong in it, and nothing came from elsewhere."""
    context = browser.new_context(base_url=server.url, viewport=WIDE, reduced_motion="reduce")
    context.set_default_timeout(WAIT_MS)
    made = context.new_page()
    faults = watch(made, server.url)
    yield made
    context.close()
    assert faults == []


def watch(page: Page, own_url: str) -> list[str]:
    """Collect what goes wrong in a page, and what it asks of others than its own server."""
    faults: list[str] = []
    own = urlsplit(own_url).netloc

    def answered(answer: Response) -> None:
        if answer.status >= 500 or (answer.status == 404 and answer.request.resource_type != "document"):
            faults.append(f"{answer.status} from {answer.url}")

    def said(message: ConsoleMessage) -> None:
        # A page that says that something is not there, or wrong, is no fault: the console calls it one.
        is_answer = message.location["url"] == page.url and re.search("status of 40[04]", message.text)
        if message.type in ("error", "warning") and not is_answer:
            faults.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: faults.append(asked.url) if urlsplit(asked.url).netloc != own else None)
    page.on("response", answered)
    return faults


@pytest.fixture
def look(page: Page, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that keeps a picture of the page, and checks that all can read and reach it."""

    def check(name: str, *, leaving_out: str = "") -> None:
        page.wait_for_load_state()
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
        check_accessible(page, leaving_out)
        page.set_viewport_size(NARROW)
        page.screenshot(path=PICTURES / f"{name}-narrow.png", full_page=True)
        overhang = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overhang <= 0, f"{name} is {overhang} px too wide for a telephone"
        tall = page.evaluate(
            "(foreign) => [...document.querySelectorAll('button')].filter((one) => one.offsetHeight > 50"
            " && !(foreign && one.closest(foreign))).length",
            leaving_out,
        )
        assert tall == 0, f"{tall} buttons of {name} are written in several lines"
        page.set_viewport_size(WIDE)

    return check


def check_accessible(page: Page, leaving_out: str = "") -> None:
    """Check the page by axe-core, in light and dark colours."""
    context = {"exclude": [[leaving_out]]} if leaving_out else None
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, context=context).response["violations"]
        said = [
            f"{scheme}: {one['id']}: {one['help']}: {node['html']}: {node.get('failureSummary', '')}"
            for one in found
            if one["impact"] in _SERIOUS
            for node in one["nodes"]
        ]
        assert said == [], "\n".join(said)
    page.emulate_media(color_scheme="light")


def number_in(text: str | None) -> int:
    """Return the first number of a text, which may have gaps between thousands."""
    found = re.search(r"\d[\d\s\u202f]*", text or "")
    assert found, text
    return int(re.sub(r"\D", "", found[0]))
