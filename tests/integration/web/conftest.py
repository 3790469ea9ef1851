"""The pages on a real store, without a web server around them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from haste_core.decisions import decide
from haste_core.interestingness import built_in
from haste_server.api.sessions import FORM_FIELD
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import Api, store

TOKEN = "a token of some length"
DECIDED = {"taskSequential": ["focus-score", "tier"]}

__all__ = ["store"]  # a fixture


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Api:
    """Return the application on an empty store, open to all on this machine."""
    return Api(store, tmp_path / "landing")


@pytest.fixture
def guarded(store: SqlStore, tmp_path: Path) -> Api:
    """Return the application of a server with a token."""
    return Api(store, tmp_path / "landing", token=TOKEN)


def decide_all(api: Api) -> None:
    """Decide about all images that were measured."""
    answered = []
    for item in api.store.undecided(limit=1000, now=api.now):
        spec, policy = item.pipeline.interestingness, item.pipeline.policy
        assert spec is not None
        assert policy is not None
        answered.append((item, decide(item.scored, spec=spec, policy=policy, build=built_in)))
    api.store.record_decisions(answered, now=api.now)


def measure(api: Api, plls: dict[str, float], *, stream_id: str = "plate7", **fields: Any) -> list[int]:
    """Submit images, have each measured, and decide about them; return their jobs."""
    job_ids = [
        api.submit(source_id=name, stream_id=stream_id, tasks=DECIDED, index=number, **fields)["job_id"]
        for number, name in enumerate(plls)
    ]
    for value in plls.values():
        api.run("focus-score", plls=value, empty=False, noise_lift=0, speck_lift=0, size_bytes=1000)
    decide_all(api)
    return job_ids


def look(api: Api, path: str, *, status: int = 200) -> str:
    """Fetch a page; it has to be well-formed."""
    answer = api.client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.content_type == "text/html; charset=utf-8"
    check_tags(answer.text)
    return answer.text


def seen(page: str) -> str:
    """Return what a reader sees of a page, with single blanks."""
    reader = _Reader()
    reader.feed(page)
    return re.sub(r"\s+", " ", "".join(reader.texts))


def form_token(page: str) -> str:
    """Return what the page's forms hold."""
    found = re.search(f'name="{FORM_FIELD}" value="([0-9a-f]{{64}})"', page)
    assert found, page
    return found[1]


def log_in(api: Api) -> TestResponse:
    answer = api.client.post("/login", data={"token": TOKEN})
    assert answer.status_code == 303, answer.text
    return answer


def check_tags(page: str) -> None:
    """Check that every element that is opened is closed."""
    reader = _Reader()
    reader.feed(page)
    assert reader.open == []


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]


class _Reader(HTMLParser):
    VOID = frozenset({"meta", "link", "input", "br", "img"})
    APART = frozenset({"td", "th", "dt", "dd", "p", "br", "title", "text"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.elements: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))
        self.texts.append(" " if tag in self.APART else "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open:
            self.texts.append(data)


def elements(page: str, wanted: Callable[[Element], bool]) -> list[Element]:
    """List the elements of a page that are wanted."""
    reader = _Reader()
    reader.feed(page)
    return [element for element in reader.elements if wanted(element)]
