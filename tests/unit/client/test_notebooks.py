"""What a notebook shows of jobs, streams and submissions."""

from html.parser import HTMLParser
from typing import Any

import pytest

from haste_client import Result, SubmissionProgress, notebooks
from haste_client.answers import ImageAnswer, JobAnswer, StreamAnswer
from haste_client.deciding import TargetAnswer, Targets
from haste_client.results import Results
from haste_client.totals import submission_html
from haste_core.errors import Problem

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;.tif"
MAY_STAND = {"div", "span", "table", "tr", "th", "td", "a"}


class Shown(HTMLParser):
    """What a browser would make of it: its elements with what they are told, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, "all that is opened is closed"
        assert {name for name, _ in self.elements} <= MAY_STAND
        for _, told in self.elements:
            assert told.keys() <= {"style", "class", "role", "aria-label", "href", "target", "rel"}
            assert "url(" not in (told.get("style") or ""), "nothing is fetched"
        tables = [told["style"] or "" for name, told in self.elements if name == "table"]
        assert all("color:inherit" in style for style in tables), "in the notebook's own colours"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    @property
    def rows(self) -> int:
        return sum(name == "tr" for name, _ in self.elements)

    @property
    def bars(self) -> list[str | None]:
        return [told["aria-label"] for _, told in self.elements if told.get("role") == "img"]


def job(**fields: Any) -> JobAnswer:
    states = {"focus-score": 200, "tier": 102, "upload": 201}
    tasks = [
        {"Task": {"task_key": key, "task_id": number, "job_id": 7, "task_state": state, "task_msg": ""}}
        for number, (key, state) in enumerate(states.items())
    ]
    told = {
        "job_id": 7,
        "state": 102,
        "created_at": 1_790_000_000.0,
        "source_url": "root://nas/A01.tif",
        "source_id": "A01.tif",
        "site": "default",
        "stream_id": "plate7",
        "tasks": {"taskSequential": tasks},
        "response": {"focus-score": {"plls": -1.25}},
    }
    return JobAnswer.model_validate(told | fields)


def stream(**fields: Any) -> StreamAnswer:
    tiers = {
        "tierA": {"count": 3, "size_bytes": 4_000_000, "mean_score": 0.91},
        "empty": {"count": 1, "size_bytes": 10},
    }
    told = {
        "stream_id": "plate7",
        "pipeline": {"name": "focus-tier", "description": "Score and tier", "tasks": "tier"},
        "mode": "observe",
        "created_at": 1_790_000_000.0,
        "progress": {"jobs": 7, "open": 2, "done": 4, "failed": 1},
        "tiers": tiers,
    }
    return StreamAnswer.model_validate(told | fields)


def submission(name: str, *, count: int = 3) -> str:
    results = [
        Result(
            f"{number}{name}", number, state="done", code=200, tier="tierA", interestingness=0.5, size_bytes=9
        )
        for number in range(count)
    ]
    results += [Result(name, 99, state="failed", code=502, message=f"cannot read {name}")]
    progress = SubmissionProgress(jobs=count + 2, open=1, done=count, failed=1, refused=1)
    return submission_html(name, progress, results, [Problem(f"refused {name}", "no such root")])


def image(name: str) -> ImageAnswer:
    told = {
        "job_id": 1,
        "source_id": name,
        "source_url": name,
        "tier": name,
        "decided_at": 0,
        "decision_id": 1,
    }
    return ImageAnswer.model_validate({**told, "features": {name: name}})


@pytest.mark.parametrize(
    "html",
    [
        job(source_id=HOSTILE, stream_id=HOSTILE, response={"tier": {"reason": HOSTILE}})._repr_html_(),
        stream(stream_id=HOSTILE, tiers={HOSTILE: {"count": 1, "size_bytes": 1}})._repr_html_(),
        submission(HOSTILE),
        image(HOSTILE)._repr_html_(),
        Results([Result(HOSTILE, 1, state="failed", code=502, message=HOSTILE)])._repr_html_(),
        Result(HOSTILE, 1, state="open", code=201)._repr_html_(),
        notebooks.card("Server", {"pages": notebooks.link(f'http://127.0.0.1/"{HOSTILE}', HOSTILE)}),
    ],
    ids=["job", "stream", "submission", "image", "results", "result", "link"],
)
def test_hostile_names_are_shown_as_they_are_and_do_nothing(html: str) -> None:
    assert HOSTILE in Shown(html).text
    assert "<script" not in html
    assert "mathjax_ignore" in html


def test_a_job_shows_its_tasks_and_what_they_answered() -> None:
    shown = Shown(job()._repr_html_())
    assert shown.bars == ["done 1, open 2"]
    for said in ("Job 7", "A01.tif", "plate7", "102 running", "focus-score", "200 done", '{"plls": -1.25}'):
        assert said in shown.text
    assert "ended" not in shown.text


def test_a_stream_shows_its_progress_and_its_tiers() -> None:
    shown = Shown(stream(open_alerts=2)._repr_html_())
    assert shown.bars == ["done 4, failed 1, open 2", "tierA 3, empty 1"]
    for said in ("Stream plate7", "focus-tier: Score and tier", "observe", "open alerts", "4.0 MB", "0.910"):
        assert said in shown.text
    assert (
        Shown(stream(progress={"jobs": 0, "open": 0, "done": 0, "failed": 0}, tiers={})._repr_html_()).bars
        == []
    )


def test_a_submission_shows_its_failures_and_counts_those_that_it_leaves_out() -> None:
    shown = Shown(submission("A01.tif"))
    assert shown.bars == ["done 3, failed 1, open 1", "tierA 3"]
    assert "cannot read A01.tif" in shown.text
    assert "no such root" in shown.text
    failed = Results(Result(f"{number}.tif", number, state="failed", code=502) for number in range(1234))
    table = Shown(failed._repr_html_())
    assert table.rows == 1 + notebooks.MOST_ROWS
    assert "… and 1,214 more" in table.text


def test_lists_stay_lists() -> None:
    target = TargetAnswer(job_id=1, source_id="A01.tif", score=0.98765, tier="tierA", location=(3, 1))
    targets = Targets([target])
    assert targets == [target]
    shown = Shown(targets._repr_html_())
    assert "0.9877" in shown.text
    assert "[3.0, 1.0]" in shown.text


def test_names_that_are_no_text_are_shown_all_the_same() -> None:
    name = b"plate\xff.tif".decode("utf-8", "surrogateescape")
    assert "plate?.tif" in Shown(image(name)._repr_html_()).text.encode().decode()
