"""What belongs to one project is neither seen nor changed by who has another: on every route."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from haste_core.alert_stores import AlertStore
from haste_core.errors import NotFoundError
from haste_core.figures import FigureStore
from haste_core.objects import ObjectStore
from haste_core.pipelines import Pipeline
from haste_core.stores import JobStore, StreamStore, WorkerStore
from haste_core.tokens import NewToken, Scope, sha256_of
from haste_core.trashes import TrashStore
from haste_server.api import guards
from haste_server.api.scopes import OF_ALL_PROJECTS, OPEN, wanted_by
from haste_server.api.services import Uploads
from haste_server.catalogue import load_pipelines
from haste_server.store.schema import metadata, tokens
from haste_server.store.sql import SqlStore
from haste_server.web.pages import FIGURES
from tests.integration.api.conftest import Api, spec
from tests.integration.web.conftest import decide_all

TOKEN = "a token of some length"
TUS = {"Tus-Resumable": "1.0.0"}
DECIDED = {"taskSequential": ["focus-score", "tier"]}
GUARDED = [
    (JobStore, guards.JOBS),
    (StreamStore, guards.STREAMS),
    (ObjectStore, guards.OBJECTS),
    (WorkerStore, guards.WORKERS),
    (AlertStore, guards.ALERTS),
    (TrashStore, guards.TRASHES),
    (Uploads, guards.UPLOADS),
    (FigureStore, FIGURES),
]


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@dataclass
class Lab:
    """A token of some projects, and ways to ask with it."""

    api: Api
    header: dict[str, str]

    def ask(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = self.header | options.pop("headers", {})
        return self.api.client.open(path, method=method, headers=headers, **options)


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Api:
    return Api(store, tmp_path / "landing", token=TOKEN)


@pytest.fixture
def lab(api: Api) -> Callable[..., Lab]:
    def give(*projects: str, scope: Scope = Scope.ADMIN) -> Lab:
        name = "-".join([*projects, scope.value])
        wanted = NewToken(name, (scope,), projects or None)
        api.store.add_token(wanted, sha256_of(f"secret {name}"), now=api.now)
        return Lab(api, bearer(f"secret {name}"))

    return give


def said(**fields: str) -> str:
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in fields.items())


@dataclass
class Theirs:
    """What another project has."""

    job_id: int
    task_id: int
    upload_id: str
    alert_id: int

    def address(self, rule: str) -> str:
        values = {
            "stream_id": "plate7",
            "job_id": self.job_id,
            "task_id": self.task_id,
            "alert_id": self.alert_id,
            "upload_id": self.upload_id,
            "tier": "archive",
            "source_id": "A01",
            "name": "a-admin",
        }
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values[found[1]]), rule)


@pytest.fixture
def theirs(api: Api, lab: Callable[..., Lab]) -> Theirs:
    """Give project a an image in each state that something can be asked of."""
    owner = lab("a")
    pipeline = load_pipelines()["focus-tier"].to_json()
    pipeline["policy"] = {"intervals": [{"lo": 0, "hi": 1, "tier": "archive"}], "undefined": "archive"}
    pipeline["alerts"] = [{"rule": "finished"}]
    api.store.create_stream("plate7", Pipeline.parse(pipeline), "enforce", now=api.now, project="a")
    sent = owner.ask("POST", "/HASTE/job/", json=spec(stream_id="plate7", tasks=DECIDED, index=1))
    assert sent.status_code == 201, sent.text
    api.run("focus-score", plls=0.1, empty=False, noise_lift=0, speck_lift=0, size_bytes=1000)
    decide_all(api)
    api.run("tier", place={"url": "root://x/y", "site": "default"})
    api.store.judge("plate7", now=api.now + 60, listening_since=0.0, fills={}, channels=[])
    (alert,) = api.store.alerts("plate7", only_open=False, cursor=None, limit=9).items
    headers = TUS | {"Upload-Length": "5", "Upload-Metadata": said(filename="B01.tif", stream_id="plate7")}
    begun = owner.ask("POST", "/HASTE/files/", headers=headers)
    assert begun.status_code == 201, begun.text
    return Theirs(
        sent.json["job_id"],
        api.store.job(sent.json["job_id"]).tasks[0].task_id,
        begun.headers["Location"].rpartition("/")[2],
        alert.alert_id,
    )


def everything(api: Api) -> dict[str, list[Any]]:
    """Read all rows that belong to projects, and the files of uploads."""
    with api.store.database.engine.connect() as connection:
        rows: dict[str, list[Any]] = {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in metadata.sorted_tables
            if table is not tokens
        }
    files = [path for path in sorted(api.landing_folder.rglob("*")) if path.is_file()]
    return rows | {"files": [(path.name, path.read_bytes()) for path in files]}


BODIES: dict[str, Any] = {
    "actions.cancel_jobs": lambda it: {"job_ids": [it.job_id]},
    "actions.retry_jobs": lambda it: {"job_ids": [it.job_id]},
    "actions.retry_tasks": lambda it: {"task_ids": [it.task_id]},
    "actions.force_retry_tasks": lambda it: {"task_ids": [it.task_id]},
    "actions.reset_tasks": lambda it: {"task_ids": [it.task_id]},
    "jobs.submit": lambda _: spec(stream_id="plate7"),
    "jobs.submit_many": lambda _: {"jobs": [spec(stream_id="plate7")]},
    "objects.apply_policy": lambda _: {"policy": load_pipelines()["focus-tier"].to_json()["policy"]},
    "objects.preview": lambda _: {"policy": load_pipelines()["focus-tier"].to_json()["policy"]},
    "objects.pin": lambda _: {"tier": "archive", "reason": "good"},
    "objects.unpin": lambda _: {"reason": "good"},
    "objects.recall": lambda _: {"reason": "good"},
    "priorities.change_priorities": lambda it: {str(it.job_id): 9.0},
    "streams.create": lambda _: {"stream_id": "plate7", "pipeline": "focus-tier"},
    "streams.set_mode": lambda _: {"mode": "observe"},
    "trashes.empty": lambda _: {},
}
HEADERS: dict[str, dict[str, str]] = {
    "uploads.create": {
        "Upload-Length": "5",
        "Upload-Metadata": said(filename="B01.tif", stream_id="plate7"),
    },
    "uploads.append": {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    "uploads.overridden": {"X-HTTP-Method-Override": "DELETE"},
    "agent.receive": {"X-HASTE-original_filename": "A01.tif", "X-HASTE-tag": "lab1"},
    "streams.receive": {"X-HASTE-original_filename": "A01.tif", "X-HASTE-tag": "lab1"},
}
# Not of a project, or a name is taken, which is told.
ANSWERS = {
    "streams.pipelines": 200,
    "tiers.list_tiers": 200,
    "tokens.own": 200,
    "streams.create": 409,
    "jobs.submit": 400,
    "uploads.create": 409,
    "uploads.offered": 204,
    "uploads.offered_of_one": 204,
    "agent.receive": 409,
    "streams.receive": 409,
}
LISTS = frozenset(
    {
        "actions.cancel_jobs",
        "actions.retry_jobs",
        "actions.retry_tasks",
        "actions.force_retry_tasks",
        "actions.reset_tasks",
        "jobs.in_progress",
        "jobs.list_jobs",
        "jobs.search",
        "jobs.submit_many",
        "streams.list_streams",
        "trashes.trashed",
        "trashes.empty",
        "workers.show",
    }
)


def test_no_route_leads_to_another_project(api: Api, lab: Callable[..., Lab], theirs: Theirs) -> None:
    stranger, before = lab("b"), everything(api)
    asked = 0
    for rule in api.client.application.url_map.iter_rules():
        if wanted_by(rule.endpoint) is OPEN or rule.endpoint.startswith("pages."):
            continue
        if rule.endpoint == "events.follow":  # goes on for ever; see the tests of events
            continue
        for method in rule.methods - {"HEAD", "OPTIONS"} or rule.methods:
            body, headers = BODIES.get(rule.endpoint), HEADERS.get(rule.endpoint, {})
            options = {} if body is None else {"json": body(theirs)}
            options |= {"data": b"12345"} if "Content-Type" in headers else {}
            answer = stranger.ask(method, theirs.address(rule.rule), headers=TUS | headers, **options)
            asked += 1
            where = (rule.endpoint, answer.status_code, answer.text)
            if rule.endpoint in OF_ALL_PROJECTS:
                assert answer.status_code == 403, where
            elif rule.endpoint in LISTS:
                assert answer.status_code == 200, where
                check_nothing_of(answer.json, theirs)
            else:
                assert answer.status_code == ANSWERS.get(rule.endpoint, 404), where
            assert "root://nas" not in answer.text
    assert asked > 50
    assert everything(api) == before


def check_nothing_of(answer: dict[str, Any], theirs: Theirs) -> None:
    """Check that a list is empty, and that what was asked of many found nothing."""
    for key in ("jobs", "streams", "images"):
        assert answer.get(key, []) == []
    assert answer.get("changed", 0) == answer.get("count", 0) == 0
    for result in answer.get("results", []):
        assert result["status"] in (400, 404)
    assert "plate7" not in re.sub("the name 'plate7' belongs", "", str(answer))


def test_an_own_token_sees_and_changes_it(api: Api, lab: Callable[..., Lab], theirs: Theirs) -> None:
    owner, both = lab("a", scope=Scope.SUBMIT), lab("b", "a")
    for bearer_of in (owner, both):
        assert [job["job_id"] for job in bearer_of.ask("GET", "/HASTE/jobs/").json["jobs"]] == [theirs.job_id]
        (stream,) = bearer_of.ask("GET", "/HASTE/stream/").json["streams"]
        assert (stream["stream_id"], stream["project"]) == ("plate7", "a")
        assert bearer_of.ask("GET", f"/HASTE/files/{theirs.upload_id}").status_code == 200
        assert bearer_of.ask("GET", "/HASTE/search/A01").json["jobs"] == [theirs.job_id]
    trashed = both.ask("GET", "/HASTE/tier/archive/images").json["images"]
    assert [image["job_id"] for image in trashed] == [theirs.job_id]
    changed = owner.ask("PATCH", "/HASTE/priority", json={str(theirs.job_id): 9.0, "10000": 1.0})
    assert changed.json == {"changed": 1, "unknown": [10000]}
    ask = {"job_ids": [10000, theirs.job_id]}
    results = both.ask("POST", "/HASTE/jobs/retry", json=ask).json["results"]
    assert [result["status"] for result in results] == [404, 409]
    assert owner.ask("DELETE", f"/HASTE/job/{theirs.job_id}").status_code == 204


@pytest.mark.parametrize("kind", ["job/{}", "task/{}", "job/{}/decisions", "stream/plate{}"])
def test_what_is_anothers_is_told_as_what_is_not_there(
    lab: Callable[..., Lab], theirs: Theirs, kind: str
) -> None:
    stranger = lab("b")
    number = {"task/{}": theirs.task_id, "stream/plate{}": 7}.get(kind, theirs.job_id)
    texts = [
        stranger.ask("GET", f"/HASTE/{kind.format(some)}").text.replace(str(some), "N")
        for some in (number, 999)
    ]
    assert texts[0] == texts[1]


def test_a_new_stream_belongs_to_the_first_project_of_its_token(api: Api, lab: Callable[..., Lab]) -> None:
    both = lab("b", "c")
    made = both.ask("POST", "/HASTE/stream/", json={"stream_id": "x", "pipeline": "focus-tier"})
    named = {"stream_id": "y", "pipeline": "focus-tier", "project": "c"}
    other = named | {"stream_id": "z", "project": "a"}

    assert (made.status_code, made.json["project"]) == (201, "b")
    assert both.ask("POST", "/HASTE/stream/", json=named).json["project"] == "c"
    assert both.ask("POST", "/HASTE/stream/", json=named | {"project": None}).status_code == 200
    refused = both.ask("POST", "/HASTE/stream/", json=other)
    assert refused.status_code == 400
    assert "none of this token's projects (b, c)" in refused.json["problems"][0]["what"]
    assert both.ask("POST", "/HASTE/job/", json=spec(stream_id="w")).status_code == 201
    assert api.store.stream("w").project == "b"
    by_all = api.client.post("/HASTE/stream/", json=other, headers=bearer(TOKEN))
    assert by_all.json["project"] == "a"


def test_of_many_jobs_those_of_other_projects_are_refused(
    api: Api, lab: Callable[..., Lab], theirs: Theirs
) -> None:
    stranger = lab("b")
    jobs = [spec(stream_id=name, source_id=name) for name in ("ours", "plate7", "ours2")]
    results = stranger.ask("POST", "/HASTE/jobs/", json={"jobs": jobs}).json["results"]

    assert [result["status"] for result in results] == [201, 400, 201]
    assert results[1]["problems"][0]["where"] == "stream_id"
    assert "another project" in results[1]["problems"][0]["what"]
    assert [api.store.job(results[n]["job_id"]).spec.stream_id for n in (0, 2)] == ["ours", "ours2"]


def test_an_upload_makes_its_stream_in_its_senders_project(api: Api, lab: Callable[..., Lab]) -> None:
    headers = TUS | {
        "Upload-Length": "5",
        "Upload-Metadata": said(filename="B01.tif", stream_id="new"),
        "Content-Type": "application/offset+octet-stream",
    }
    sent = lab("b").ask("POST", "/HASTE/files/", headers=headers, data=b"12345")

    assert sent.status_code == 201, sent.text
    assert api.store.stream("new").project == "b"


def test_equal_files_of_two_projects_are_two_uploads(lab: Callable[..., Lab]) -> None:
    digest = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    headers = TUS | {
        "Upload-Length": "5",
        "Upload-Metadata": said(filename="B01.tif", sha256=digest),
        "Content-Type": "application/offset+octet-stream",
    }
    sent = [lab(name).ask("POST", "/HASTE/files/", headers=headers, data=b"12345") for name in "ab"]

    assert [answer.status_code for answer in sent] == [201, 201]
    assert sent[0].headers["Location"] != sent[1].headers["Location"]
    probing = {name: value for name, value in headers.items() if name != "Content-Type"}
    probed = lab("c").ask("POST", "/HASTE/files/", headers=probing)
    assert probed.headers["Upload-Offset"] == "0"  # does not tell that others have the file


def test_workers_are_shown_without_the_tasks_of_others(api: Api, lab: Callable[..., Lab]) -> None:
    owner, stranger = lab("a"), lab("b")
    owner.ask("POST", "/HASTE/job/", json=spec(stream_id="plate7"))
    (message,) = api.store.claim(
        next(queue.route for queue in api.store.queues()), 1, now=api.now, lease_s=30
    )
    api.attend("focus-score")
    (view,) = api.store.workers(seen_since=0.0)
    held = {"task_id": message.task_id, "attempt": 1, "started_at": api.now, "note": "half"}
    presence = type(view.presence).model_validate(view.presence.model_dump() | {"held": [held]})
    api.store.save_presence([presence], now=api.now)

    (seen,) = owner.ask("GET", "/HASTE/workers/").json["workers"]
    assert [task["task_id"] for task in seen["current"]] == [message.task_id]
    (seen,) = stranger.ask("GET", "/HASTE/workers/").json["workers"]
    assert seen["current"] == []


@pytest.mark.parametrize(("port", "rules"), GUARDED, ids=lambda item: getattr(item, "__name__", ""))
def test_every_method_of_a_store_has_a_rule(port: type, rules: dict[str, Any]) -> None:
    """Without one, it cannot be called by who may know of some projects only."""
    methods = {name for kind in port.__mro__ for name in vars(kind) if not name.startswith("_")}
    assert methods == set(rules)


def test_a_method_without_a_rule_cannot_be_called(store: SqlStore) -> None:
    owned = guards.Owned(("a",), store)
    jobs = guards.Guard(store, owned, {"job": guards.of_job})

    with pytest.raises(NotFoundError):
        jobs.job(1)
    with pytest.raises(AttributeError, match="'delete' has no rule"):
        jobs.delete(1)
    with pytest.raises(AttributeError):
        jobs.database  # noqa: B018
