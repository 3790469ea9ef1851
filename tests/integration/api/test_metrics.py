"""What Prometheus reads, after known work."""

import json
import math
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from haste_core.dead_letters import DeadLetters
from haste_core.decisions import Decision
from haste_core.errors import TransientError
from haste_core.messages import HeldAttempt, Outcome, Presence, TaskResult
from haste_core.ports import StateChange
from haste_core.routing import Route
from haste_core.states import TaskState
from haste_core.tokens import NewToken, Scope, sha256_of
from haste_server.api import measuring
from haste_server.api.credentials import KEPT_S
from haste_server.api.services import Services
from haste_server.metrics.counts import MOST_NAMED, Counts
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import Api

TOKEN = "a token of some length"
PROMTOOL = shutil.which("promtool")
DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
AWAY = TransientError("the database is away")
DEFAULT = {"key": "focus-score", "site": "default"}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(api: Api, **headers: str) -> Samples:
    """Read `/metrics` as Prometheus does."""
    answer = api.client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    samples: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        assert family.type != "unknown"
        for sample in family.samples:
            place = (sample.name, frozenset(sample.labels.items()))
            assert place not in samples
            samples[place] = sample.value
    return samples


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"haste_{name}", frozenset(labels.items())))


def services_of(api: Api) -> Services:
    found: Services = api.client.application.extensions["haste_services"]
    return found


def counts_of(api: Api) -> Counts:
    return services_of(api).counts.counts


def attend_at(api: Api, *keys: str, busy: int = 0) -> None:
    held = tuple(HeldAttempt(task_id=n + 1, attempt=1, started_at=api.now) for n in range(busy))
    presence = Presence(
        worker_id="w", host="pc", pid=1, keys=keys, site="default", slots=4, held=held, sent_at=api.now
    )
    api.store.save_presence([presence], now=api.now)


def decide(api: Api, tier: str) -> None:
    (item,) = api.store.undecided(limit=1, now=api.now)
    api.store.record_decisions(
        [(item, Decision(0.5, tier, "why", "f" * 64, {"size_bytes": 1000}))], now=api.now
    )


def do_some_work(api: Api) -> None:
    """Score an image, let another wait, and count as an engine and an upload would."""
    for number in range(3):
        tasks = {"taskSequential": ["focus-score", "tier"]}
        api.submit(source_id=f"A0{number}", stream_id="plate7", tasks=tasks)
    api.run("focus-score", plls=-1.0)
    decide(api, "tierA")
    api.store.claim(Route("focus-score", "default"), 1, now=api.now, lease_s=30)
    attend_at(api, "focus-score", busy=1)
    result = TaskResult(
        task_id=1, attempt=1, worker_id="w", outcome=Outcome.CRASHED, started_at=1.0, ended_at=3.0
    )
    change = StateChange(1, 1, "plate7", "focus-score", "default", 1, TaskState.REGISTERED, "")
    counts_of(api).hand_out(Route("focus-score", "default"), 2)
    counts_of(api).take_back([result], [change])
    counts_of(api).receive(4096)
    api.dead_letters = DeadLetters(2, ())
    api.now += 60


def test_queues_workers_tiers_and_counts_are_shown(api: Api) -> None:
    do_some_work(api)
    attend_at(api, "focus-score", busy=1)

    samples = scraped(api)

    for phase, number in {"ready": 1, "delayed": 0, "handed_out": 1}.items():
        assert value(samples, "queue_tasks", **DEFAULT, phase=phase) == number
    assert value(samples, "queue_oldest_seconds", **DEFAULT) == 60
    assert value(samples, "queue_workers", **DEFAULT) == 1
    assert value(samples, "queue_tasks", key="tier", site="default", phase="ready") == 1
    assert value(samples, "queue_workers", key="tier", site="default") == 0
    for name, number in {"workers": 1, "worker_slots": 4, "worker_tasks": 1}.items():
        assert value(samples, name, site="default") == number
    assert value(samples, "tier_objects", tier="tierA") == 1
    assert value(samples, "tier_bytes", tier="tierA") == 1000
    assert value(samples, "hand_outs_total", **DEFAULT) == 2
    assert value(samples, "results_total", **DEFAULT, state="crashed") == 1
    assert value(samples, "retries_total", **DEFAULT, state="crashed") == 1
    assert value(samples, "task_seconds_sum", key="focus-score", state="crashed") == 2
    assert value(samples, "task_seconds_bucket", key="focus-score", state="crashed", le="1.0") == 0
    assert value(samples, "task_seconds_bucket", key="focus-score", state="crashed", le="3.0") == 1
    assert value(samples, "upload_bytes_total") == 4096
    assert value(samples, "dead_letters") == 2
    assert value(samples, "figures_age_seconds") == 0
    assert all(math.isfinite(number) for number in samples.values())


def test_parts_are_up_or_not(api: Api) -> None:
    api.readiness["broker"] = "not connected: trying"
    samples = scraped(api)

    up = {part: value(samples, "part_up", part=part) for part in ("database", "broker", "engine")}
    assert up == {"database": 1, "broker": 0, "engine": 1}
    assert api.client.get("/readyz").json["broker"] == "not connected: trying"


def test_an_upload_is_counted_as_it_comes(api: Api) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    length = {"Upload-Length": "10", "Upload-Metadata": "filename QTAxLnRpZg=="}
    begun = api.client.post("/HASTE/files/", data=b"seven b", headers=headers | length)
    assert begun.status_code == 201, begun.text

    assert value(scraped(api), "upload_bytes_total") == 7


def test_without_a_database_its_health_is_0_and_the_rest_is_absent(api: Api) -> None:
    do_some_work(api)
    api.readiness["database"] = str(AWAY)

    samples = scraped(api)

    assert value(samples, "part_up", part="database") == 0
    assert value(samples, "part_up", part="broker") == 1
    assert value(samples, "results_total", **DEFAULT, state="crashed") == 1
    assert not [name for name, _ in samples if name.startswith(("haste_queue", "haste_tier"))]


def test_a_database_that_goes_between_two_looks_breaks_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise AWAY

    monkeypatch.setattr(services_of(api).measuring._workers.database, "read", lambda _: fail())
    samples = scraped(api)
    assert value(samples, "upload_bytes_total") == 0
    assert value(samples, "figures_age_seconds") is None


def test_a_database_that_hangs_keeps_nobody(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    measured = services_of(api).measuring
    monkeypatch.setattr(measured._health, "_look", lambda: hangs.wait(20) and api.readiness)
    monkeypatch.setattr(measured._health, "_patience_s", 0.02)

    samples = scraped(api)
    hangs.set()

    assert value(samples, "part_up", part="database") == 0
    assert value(samples, "part_up", part="engine") is None
    assert measuring.HEALTH_PATIENCE_S + measuring.FIGURES_PATIENCE_S < 10, "Prometheus waits for so long"


def test_only_so_many_queues_are_shown_by_name(api: Api) -> None:
    for number in range(MOST_NAMED):
        api.submit(tasks=f"odd-{number:02}")
    for _ in range(2):
        api.submit(tasks="full")
    attend_at(api, "odd-49")

    samples = scraped(api)

    shown = {dict(labels)["key"] for name, labels in samples if name == "haste_queue_tasks"}
    assert len(shown) == MOST_NAMED + 1
    assert value(samples, "queue_tasks", key="full", site="default", phase="ready") == 2
    others = {"key": "(others)", "site": "(others)"}
    assert value(samples, "queue_tasks", **others, phase="ready") == 1
    assert value(samples, "queue_workers", **others) == 1


def token_of(api: Api, name: str, *scopes: Scope, projects: tuple[str, ...] | None = None) -> dict[str, str]:
    secret = f"secret {name}"
    api.store.add_token(NewToken(name, scopes, projects, None), sha256_of(secret), now=api.now)
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def guarded(store: SqlStore, tmp_path: Path) -> Api:
    return Api(store, tmp_path / "landing", token=TOKEN)


def test_a_token_that_reads_all_projects_is_asked_for(guarded: Api) -> None:
    assert guarded.client.get("/metrics").status_code == 401
    of_one = token_of(guarded, "one", Scope.READ, projects=("lab1",))
    assert guarded.client.get("/metrics", headers=of_one).status_code == 403
    of_all = token_of(guarded, "prometheus", Scope.READ)
    assert value(scraped(guarded, **of_all), "part_up", part="database") == 1


def test_a_token_that_was_seen_reads_on_while_the_database_is_away(
    guarded: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, unseen = token_of(guarded, "seen", Scope.READ), token_of(guarded, "unseen", Scope.READ)
    scraped(guarded, **seen)
    guarded.now += 2 * KEPT_S

    def fail(_: object) -> None:
        raise AWAY

    with monkeypatch.context() as outage:
        outage.setattr(guarded.store.database, "read", fail)
        guarded.readiness["database"] = str(AWAY)
        assert value(scraped(guarded, **seen), "part_up", part="database") == 0
        assert guarded.client.get("/metrics", headers=unseen).status_code == 503
        assert guarded.client.get("/HASTE/jobs/", headers=seen).status_code == 503
    guarded.store.revoke_token("seen", now=guarded.now)
    assert guarded.client.get("/metrics", headers=seen).status_code == 401


def expressions(node: Any) -> Iterator[str]:
    """Go through all queries of a dashboard or of rules."""
    if isinstance(node, dict) and node.get("type") != "datasource":
        yield from (node[name] for name in ("expr", "query") if isinstance(node.get(name), str))
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from expressions(child)


def queries(kind: str) -> list[str]:
    if kind == "dashboard":
        document = json.loads((DEPLOY / "grafana" / "haste.json").read_text(encoding="utf-8"))
    else:
        document = yaml.safe_load((DEPLOY / "prometheus" / "haste.rules.yml").read_text(encoding="utf-8"))
    return list(expressions(document))


@pytest.mark.parametrize(("kind", "at_least"), [("dashboard", 12), ("rules", 8)])
def test_what_dashboard_and_rules_ask_for_is_there(api: Api, kind: str, at_least: int) -> None:
    do_some_work(api)
    attend_at(api, "focus-score", busy=1)
    samples = scraped(api)
    labels = {name: {label for label, _ in of} for name, of in samples}
    asked = queries(kind)

    assert len(asked) >= at_least
    for query in asked:
        named = re.findall(r"(haste_\w+)(?:\{([^}]*)\})?", query)
        assert named or "up{" in query, query
        for name, selector in named:
            assert name in labels, query
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= labels[name] | {"instance", "job"}
        assert query.count("(") == query.count(")"), query


def test_every_figure_is_on_the_dashboard_or_in_a_rule(api: Api) -> None:
    do_some_work(api)
    attend_at(api, "focus-score", busy=1)
    asked = " ".join(queries("dashboard") + queries("rules"))
    # Of a histogram, its buckets are drawn; the version is for who compares servers.
    not_drawn = {"haste_task_seconds_sum", "haste_task_seconds_count", "haste_build_info"}
    assert {name for name, _ in scraped(api)} - not_drawn - set(re.findall(r"haste_\w+", asked)) == set()


def test_no_rule_waits_for_a_rate_of_nothing() -> None:
    # What was never counted has no series, and what has none is not 0.
    assert [query for query in queries("rules") if re.search(r"rate\(.*\)\s*==\s*0", query)] == []


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: Debian's package prometheus has it")
def test_prometheus_understands_all_and_rules_fire_when_they_should(api: Api, tmp_path: Path) -> None:
    assert PROMTOOL is not None
    rules, drawn = DEPLOY / "prometheus", tmp_path / "dashboard.yml"
    recorded = [
        {"record": f"q{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries("dashboard"))
        if not query.startswith("label_values(")  # that is Grafana's own
    ]
    drawn.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    do_some_work(api)
    figures = api.client.get("/metrics").text
    for arguments, given in (
        (["check", "rules", drawn], ""),
        (["check", "rules", rules / "haste.rules.yml"], ""),
        (["test", "rules", rules / "haste.rules.test.yml"], ""),
        (["check", "metrics"], figures),
    ):
        done = subprocess.run(
            [PROMTOOL, *arguments], input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_say_what_to_do() -> None:
    document = yaml.safe_load((DEPLOY / "prometheus" / "haste.rules.yml").read_text(encoding="utf-8"))
    rules = [rule for group in document["groups"] for rule in group["rules"]]

    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
