"""The evaluator's child process, a real one, with functions that die, hang or look around."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from haste_core.decisions import Decision
from haste_core.errors import TransientError
from haste_core.interestingness import ScoredObject, StreamObject
from haste_core.lifecycle import Rules
from haste_core.pipelines import Pipeline
from haste_core.undecided import Decided, Undecidable, Undecided
from haste_server.engine import evaluator as module
from haste_server.engine.evaluator import Evaluator
from haste_server.engine.evaluator_child import EvaluatorChild, OthersWanted
from haste_server.store.database import Database
from haste_server.store.migrate import upgrade
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, claim, spec, submitted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills with signals")

FUNCTIONS = """
import os, pathlib, time

def note(folder, what="run"):
    runs = pathlib.Path(folder, "runs")
    with runs.open("a") as file:
        file.write(f"{what} {os.getpid()}\\n")
    return len(runs.read_text().splitlines())

def good(folder):
    return lambda scored: note(folder) and 0.5

def dies_once(folder):
    return lambda scored: os.kill(os.getpid(), 9) if note(folder) == 1 else 0.5

def is_killed(folder, number):
    return lambda scored: note(folder) and os.kill(os.getpid(), number)

def exits(folder):
    return lambda scored: note(folder) and os._exit(3)

def writes_into_answers(folder):
    def score(scored):
        note(folder)
        for number in range(3, 20):
            try:
                os.write(number, b"\\xff" * 8)
            except OSError:
                continue
        return 0.5
    return score

def hangs(folder):
    return lambda scored: note(folder) and time.sleep(60)

def forks_and_hangs(folder):
    def score(scored):
        if os.fork() == 0:
            note(folder, "forked")
            time.sleep(60)
        time.sleep(60)
    return score

def tells_others(folder):
    def score(scored):
        raise ValueError([(other.source_id, other.features["plls"], other.tier) for other in scored.others()])
    return score

def looks_around(folder):
    def score(scored):
        raise ValueError(sorted(name for name in os.environ if name.upper().startswith("HASTE_")))
    return score
"""


@pytest.fixture(autouse=True)
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))


def no_pages(wanted: OthersWanted) -> list[list[Decided]]:
    raise AssertionError(f"nobody asks for {wanted}")


@pytest.fixture
def child() -> Iterator[EvaluatorChild]:
    child = EvaluatorChild(time_limit_s=2, pages=no_pages)
    yield child
    child.close()


def an_object(folder: Path, function: str, **parameters: Any) -> Undecided:
    pipeline = Pipeline.parse(
        {
            "name": "scored",
            "description": "Score",
            "tasks": "tier",
            "interestingness": {
                "function": f"functions:{function}",
                "features_from": "score",
                "parameters": {"folder": str(folder), **parameters},
            },
            "policy": {"intervals": [{"lo": 0, "hi": 1, "tier": "hot"}], "undefined": "empty"},
        }
    )
    return Undecided(1, 1, "stream", "A01.tif", pipeline, ScoredObject(features={}, metadata={}))


def runs(folder: Path) -> list[int]:
    """List the processes in which functions ran."""
    return [int(line.split()[1]) for line in (folder / "runs").read_text().splitlines()]


@pytest.mark.parametrize("pause_s", [0.0, 0.5], ids=["at once", "when it is long dead"])
def test_a_child_killed_while_idle_is_replaced(child: EvaluatorChild, tmp_path: Path, pause_s: float) -> None:
    good = an_object(tmp_path, "good")
    child.ask(good)
    os.kill(runs(tmp_path)[-1], signal.SIGKILL)
    time.sleep(pause_s)

    answers = [child.ask(good) for _ in range(3)]

    assert [type(answer) for answer in answers] == [Decision] * 3
    assert len(set(runs(tmp_path))) == 2


def test_one_death_is_not_the_objects_fault(child: EvaluatorChild, tmp_path: Path) -> None:
    answer = child.ask(an_object(tmp_path, "dies_once"))

    assert isinstance(answer, Decision)
    assert answer.score == 0.5


@pytest.mark.parametrize(
    ("function", "parameters", "how"),
    [
        ("is_killed", {"number": 9}, "was killed by SIGKILL, probably since the machine ran out of memory"),
        ("is_killed", {"number": 40}, "was killed by signal 40"),
        ("exits", {}, "ended by itself with exit code 3"),
        ("writes_into_answers", {}, "the last one"),  # a race decides how that ends
    ],
)
def test_an_object_that_two_children_die_over_is_refused_with_the_reason(
    child: EvaluatorChild, tmp_path: Path, function: str, parameters: dict[str, Any], how: str
) -> None:
    answer = child.ask(an_object(tmp_path, function, **parameters))

    assert isinstance(answer, Undecidable)
    assert how in answer.reason
    assert "retry the job" in answer.reason
    assert len(set(runs(tmp_path))) == 2
    assert isinstance(child.ask(an_object(tmp_path, "good")), Decision)


def test_an_object_is_not_refused_where_no_process_can_be_started(
    child: EvaluatorChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "missing"))
        with pytest.raises(TransientError, match="memory left"):
            child.ask(an_object(tmp_path, "good"))

    assert isinstance(child.ask(an_object(tmp_path, "good")), Decision)


def test_what_takes_too_long_is_refused_at_once(child: EvaluatorChild, tmp_path: Path) -> None:
    child.ask(an_object(tmp_path, "good"))

    answer = child.ask(an_object(tmp_path, "hangs"))

    assert answer == Undecidable("the interestingness function took longer than 2 s")
    assert len(runs(tmp_path)) == 2
    assert isinstance(child.ask(an_object(tmp_path, "good")), Decision)


def test_nobody_waits_for_what_a_function_has_forked(child: EvaluatorChild, tmp_path: Path) -> None:
    child.ask(an_object(tmp_path, "good"))
    began = time.monotonic()
    try:
        child.ask(an_object(tmp_path, "forks_and_hangs"))
        assert isinstance(child.ask(an_object(tmp_path, "good")), Decision)
        assert time.monotonic() - began < 30
    finally:
        for pid in runs(tmp_path):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_stop_ends_a_question_without_asking_again(tmp_path: Path) -> None:
    child = EvaluatorChild(time_limit_s=60, pages=no_pages)
    asking = threading.Thread(target=child.ask, args=(an_object(tmp_path, "hangs"),))
    asking.start()
    while not (tmp_path / "runs").exists():
        time.sleep(0.02)

    child.kill()

    asking.join(20)
    assert not asking.is_alive()
    assert len(runs(tmp_path)) == 1
    child.close()


def test_users_functions_do_not_see_the_servers_secrets(
    child: EvaluatorChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.upper().startswith("HASTE_")]:
        monkeypatch.delenv(name)
    for name in ("DATABASE_URL", "BROKER_URL", "TOKEN", "SITE"):
        monkeypatch.setenv(f"HASTE_{name}", "mysql://haste:secret@nas/haste")
    monkeypatch.setenv("haste_token", "settings are read from names in any case")

    answer = child.ask(an_object(tmp_path, "looks_around"))

    assert isinstance(answer, Undecidable)
    assert "raised ValueError: ['HASTE_SITE']" in answer.reason


def decided(decision_id: int, source_id: str, plls: float) -> Decided:
    return Decided(decision_id, StreamObject(source_id, {"plls": plls}, 0.5, "hot"))


HISTORY = [decided(1, "A", -1.0), decided(2, "B", -2.0), decided(5, "A", -1.5), decided(8, "C", -3.0)]


def test_functions_see_the_other_objects_of_their_stream_as_their_latest_decisions_left_them(
    tmp_path: Path,
) -> None:
    asked: list[OthersWanted] = []

    def pages(wanted: OthersWanted) -> list[list[Decided]]:
        asked.append(wanted)
        return [[one] for one in HISTORY if wanted.after < one.decision_id <= wanted.up_to]

    child = EvaluatorChild(time_limit_s=2, pages=pages)
    tells = an_object(tmp_path, "tells_others")
    try:
        told = [child.ask(replace(tells, source_id="B", seen=seen)) for seen in (2, 8, 8, 5)]
        alone = child.ask(replace(tells, stream_id="another", seen=0))
        scored = child.ask(replace(an_object(tmp_path, "good"), seen=9))
    finally:
        child.close()

    assert [str(answer) for answer in told] == [
        str(Undecidable(f"functions:tells_others raised ValueError: {others}"))
        for others in (
            [("A", -1.0, "hot")],
            [("A", -1.5, "hot"), ("C", -3.0, "hot")],
            [("A", -1.5, "hot"), ("C", -3.0, "hot")],
            [("A", -1.5, "hot")],
        )
    ]
    assert alone == Undecidable("functions:tells_others raised ValueError: []")
    # Each decision is loaded once, unless an earlier one is asked about.
    assert asked == [OthersWanted("stream", 0, 2), OthersWanted("stream", 2, 8), OthersWanted("stream", 0, 5)]
    assert isinstance(scored, Decision)
    assert scored.seen is None


def test_a_rank_among_others_is_decided_and_says_what_it_saw(tmp_path: Path) -> None:
    history = [decided(number, f"{number}", float(number)) for number in range(1, 101)]
    pages = [history[:60], history[60:]]
    child = EvaluatorChild(time_limit_s=2, pages=lambda wanted: pages)
    item = an_object(tmp_path, "good")
    spec = {"function": "quantile", "features_from": "score", "parameters": {"feature": "plls", "tiers": 4}}
    ranked = Pipeline.parse({**item.pipeline.to_json(), "interestingness": spec})
    scored = ScoredObject(features={"plls": 60.5}, metadata={})
    try:
        answer = child.ask(replace(item, pipeline=ranked, scored=scored, seen=100))
    finally:
        child.close()
    assert isinstance(answer, Decision)
    assert (answer.score, answer.seen) == (0.625, 100)


def test_all_that_waits_is_decided_batch_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    database = Database(f"sqlite:///{tmp_path}/haste.db")
    upgrade(database)
    store = SqlStore(database, Rules(), PIPELINE)
    scored = {"focus-score": {"plls": -1.2}}
    submitted(store, *(spec("tier", source_id=str(number), response=scored) for number in range(5)))
    evaluator = Evaluator(store=store, released=lambda: None, time_limit_s=10, clock=lambda: NOW)
    evaluator.wake()
    evaluator.step()
    evaluator.close()
    assert store.undecided(limit=10, now=NOW) == []
    assert [task.decision and task.decision.tier for task in claim(store, "tier")] == ["hot"] * 5
    database.close()


def test_what_is_decided_together_is_ranked_together(tmp_path: Path) -> None:
    policy = {"type": "top-k", "k": 3, "tier": "hot", "rest": "cold", "undefined": "none"}
    database = Database(f"sqlite:///{tmp_path}/haste.db")
    upgrade(database)
    store = SqlStore(database, Rules(), Pipeline.parse(PIPELINE.to_json() | {"policy": policy}))
    falling = ({"focus-score": {"plls": -number / 10}} for number in range(20))
    submitted(store, *(spec("tier", source_id=str(n), response=scored) for n, scored in enumerate(falling)))
    evaluator = Evaluator(store=store, released=lambda: None, time_limit_s=10, clock=lambda: NOW)
    evaluator.step()
    evaluator.close()
    tiers = [task.decision and task.decision.tier for task in claim(store, "tier")]
    assert tiers == ["hot"] * 3 + ["cold"] * 17
    database.close()


@pytest.mark.parametrize("image_set", [None, {"group_by": ["site"], "expected": 1, "combine": "max"}])
def test_what_waits_together_is_ranked_among_those_before_it(tmp_path: Path, image_set: object) -> None:
    quantile = {
        "function": "quantile",
        "features_from": "focus-score",
        "parameters": {"feature": "plls", "tiers": 4, "min_objects": 4},
    }
    with_quantile = PIPELINE.to_json() | {"interestingness": quantile, "image_set": image_set}
    database = Database(f"sqlite:///{tmp_path}/haste.db")
    upgrade(database)
    store = SqlStore(database, Rules(), Pipeline.parse(with_quantile))
    values = [5.0, 1.0, 9.0, 3.0, 0.0, 8.0, 4.0, 10.0]
    for number, value in enumerate(values):
        scored = {"focus-score": {"plls": value}}
        submitted(store, spec("tier", source_id=f"{number}", response=scored, metadata={"site": number}))
    evaluator = Evaluator(store=store, released=lambda: None, time_limit_s=10, clock=lambda: NOW)
    evaluator.step()
    evaluator.close()
    scores = [task.decision and task.decision.score for task in claim(store, "tier")]
    # Before four others: the highest part. Then 0 of 4, 4 of 5, 3 of 6 and 7 of 7 others are lower.
    assert scores == [0.875, 0.875, 0.875, 0.875, 0.125, 0.875, 0.625, 0.875]
    database.close()
