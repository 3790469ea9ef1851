"""Pictures of the pages for people who read about them: ``make screenshots`` writes them to ``docs/images``.

All that they show is measured: a plate that lies askew goes through a server with two workers, and a
simulated electron microscope's images from an agent over a slow link to the lab's server.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import PIL.Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.throttle import throttled
from haste_apps.simulate import simulate
from haste_client import HasteClient
from tests.browser.tilted_plate import fields, write_plate
from tests.e2e.agent_process import Agent, events, running_central
from tests.e2e.server_process import running_server
from tests.services.browser import launch
from tests.waiting import wait_for

PLATE = "plate7"
GRID = "grid3"
WIDTH = 1200
SCALE = 1.5
"""Pixels of a picture to one of the page, for screens that have many."""

COLOURS = 256
"""In a picture's palette: of greys, viridis and writing; more are not seen, and take room."""

_ALL_SEEN = """[...document.images].every((image) => image.complete
    || image.getBoundingClientRect().top > innerHeight)"""

_SEED = 7
_TILES, _TILE_PX, _TILES_PER_S = 240, (600, 750), 10.0
_LINK_SHARE = 0.6
"""What the link carries of what the microscope writes: without preprocessing it would fall behind."""

_SHOWN_SHARE = 0.85
"""How far the uploads are when their picture is taken."""


@dataclass(frozen=True)
class Camera:
    """Takes pictures of pages."""

    browser: Browser
    folder: Path

    @contextmanager
    def page(self, *, height: int, dark: bool = False) -> Iterator[Page]:
        """Return an empty page."""
        context = self.browser.new_context(
            viewport={"width": WIDTH, "height": height},
            device_scale_factor=SCALE,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        yield context.new_page()
        context.close()

    def take(self, page: Page, name: str) -> None:
        """Keep what is seen of a page, with few colours."""
        page.wait_for_function(_ALL_SEEN)
        seen = PIL.Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        few = seen.quantize(COLOURS, kmeans=2, dither=PIL.Image.Dither.NONE)
        few.save(self.folder / f"{name}.png", optimize=True)


def picture_plate(camera: Camera, folder: Path) -> None:
    """Have a plate looked at; picture its stream while a border is moved, and what was measured."""
    images = folder / "plates" / PLATE
    images.mkdir(parents=True)
    write_plate(images, list(fields(PLATE, seed=_SEED)), processes=os.cpu_count() or 1)
    roots = {"plates": images.parent}
    with running_server(folder / "server", "--root", f"plates={images.parent}", "--workers", "2") as server:
        server.wait_until_ready()
        with HasteClient(server.url, roots=roots) as client:
            submission = client.submit_directory(images, names="imagexpress", mode="enforce")
            client.complete_stream(PLATE)
            submission.wait()
        with camera.page(height=1160) as page:
            page.goto(f"{server.url}/stream/{PLATE}")
            _move_border(page, to=0.82)
            camera.take(page, "stream")
        with camera.page(height=980, dark=True) as page:
            page.goto(f"{server.url}/stream/{PLATE}/measurements")
            camera.take(page, "measurements")


def _move_border(page: Page, *, to: float) -> None:
    """Drag the highest border, and wait until the server has told what would move."""
    box = page.get_by_role("slider").last.bounding_box()
    field = page.locator("#figure .axis").bounding_box()
    assert box is not None
    assert field is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(field["x"] + field["width"] * to, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.locator("#foreseen")).to_contain_text("Exactly")


def picture_edge(camera: Camera, folder: Path) -> None:
    """Let an agent send a sweep over a grid, and picture its page when most is sent."""
    written = folder / "written"
    simulate(
        written, kind="tem", count=_TILES, rate_hz=math.inf, seed=_SEED, size_px=_TILE_PX, slow_writes=False
    )
    tiles = sorted(written.glob("sweep/*.png"))
    bytes_per_s = _LINK_SHARE * _TILES_PER_S * sum(tile.stat().st_size for tile in tiles) / len(tiles)
    with running_central(folder / "lab") as lab, throttled(lab.url, bytes_per_s) as link:
        agent = Agent(folder / GRID, folder / "agent", link.url)
        agent.folder.mkdir()
        said = folder / "said.txt"
        process = agent.start(said, "--json", "--cores", "1", "--operator", "floodfill")
        try:
            wait_for(lambda: events(said.read_text(), "status"))
            arriving = threading.Thread(target=_arrive, args=(tiles, agent.folder))
            arriving.start()
            wait_for(lambda: len(events(said.read_text(), "uploaded")) > _SHOWN_SHARE * len(tiles))
            arriving.join()
            with camera.page(height=660) as page:
                page.goto((agent.data_dir / "page.txt").read_text().strip())
                page.locator("a[href^='/stream/']").first.click()
                expect(page.locator("#live-edge svg")).to_be_visible()
                camera.take(page, "edge")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _arrive(tiles: list[Path], folder: Path) -> None:
    for tile in tiles:
        partial = folder / f".{tile.name}.part"
        partial.write_bytes(tile.read_bytes())
        partial.rename(folder / tile.name)
        time.sleep(1 / _TILES_PER_S)


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write them")
    camera_folder: Path = parser.parse_args().folder
    camera_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="haste-screenshots-") as folder, sync_playwright() as playwright:
        browser = launch(playwright)
        camera = Camera(browser, camera_folder)
        picture_plate(camera, Path(folder))
        picture_edge(camera, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
