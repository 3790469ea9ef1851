"""Who has changed what."""

import json
from pathlib import Path
from typing import Any

import pytest

from haste_core.tokens import NewToken, Scope, sha256_of
from haste_server.api.scopes import is_logged
from haste_server.api.sessions import FORM_FIELD
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import Api, spec
from tests.integration.web.conftest import form_token, look

TOKEN = "a token of some length"
OWN = {"Authorization": f"Bearer {TOKEN}"}
LAB = {"Authorization": "Bearer secret"}


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Api:
    made = Api(store, tmp_path / "landing", token=TOKEN)
    store.add_token(NewToken("lab1-pc", (Scope.SUBMIT,)), sha256_of("secret"), now=made.now)
    return made


def log(api: Api, **query: Any) -> list[dict[str, Any]]:
    answer = api.client.get("/HASTE/audit/", query_string=query, headers=OWN)
    assert answer.status_code == 200
    return list(answer.json["entries"])


def test_a_change_tells_who_what_when_and_on_what(api: Api) -> None:
    created = {"stream_id": "plate7", "pipeline": "focus-tier"}
    api.client.post("/HASTE/stream/", json=created, headers=LAB)
    api.now += 5
    api.client.post("/HASTE/stream/plate7/mode", json={"mode": "enforce"}, headers=OWN)

    latest, first = log(api)
    assert latest == {
        "entry_id": latest["entry_id"],
        "made_at": api.now,
        "who": "(settings)",
        "address": "127.0.0.1",
        "action": "streams.set_mode",
        "target": "/HASTE/stream/plate7/mode",
        "details": '{"mode":"enforce"}',
    }
    assert (first["who"], first["made_at"], json.loads(first["details"])) == ("lab1-pc", api.now - 5, created)
    assert [entry["action"] for entry in log(api, who="lab1-pc")] == ["streams.create"]


def test_what_changed_nothing_is_not_logged(api: Api) -> None:
    body = {"stream_id": "plate7", "pipeline": "focus-tier"}
    job_id = api.client.post("/HASTE/job/", json=spec(), headers=LAB).json["job_id"]
    retried = api.client.post("/HASTE/jobs/retry", json={"job_ids": [job_id, 99]}, headers=LAB)
    assert retried.json["changed"] == 0
    for path, answer in ((f"/HASTE/job/{job_id}/retry", 409), ("/HASTE/job/99/cancel", 404)):
        assert api.client.post(path, headers=LAB).status_code == answer
    refused = api.client.post("/HASTE/stream/", json={**body, "mode": "x"}, headers=LAB)
    assert refused.status_code == 400
    assert api.client.post("/HASTE/tier/archive/empty", json={}, headers=LAB).status_code == 403
    api.store.create_stream("x", api.store.default_pipeline, None, now=api.now)  # no request's

    assert log(api) == []


def test_images_that_come_are_not_logged_but_what_becomes_of_them(api: Api) -> None:
    job_id = api.client.post("/HASTE/job/", json=spec(), headers=LAB).json["job_id"]
    api.client.post("/HASTE/jobs/", json={"jobs": [spec(source_id="b")]}, headers=LAB)
    api.client.post(f"/HASTE/job/{job_id}/cancel", headers=LAB)
    api.client.post("/HASTE/jobs/retry", json={"job_ids": [job_id]}, headers=LAB)
    api.client.patch("/HASTE/priority", json={str(job_id): 5.0}, headers=LAB)
    api.client.delete(f"/HASTE/job/{job_id}", headers=LAB)

    assert [(entry["action"], entry["details"]) for entry in reversed(log(api))] == [
        ("jobs.cancel", ""),
        ("actions.retry_jobs", f'{{"job_ids":[{job_id}]}}'),
        ("priorities.change_priorities", f'{{"{job_id}":5.0}}'),
        ("jobs.delete", ""),
    ]


def test_changes_from_pages_are_logged_without_the_forms_token(api: Api) -> None:
    job_id = api.client.post("/HASTE/job/", json=spec(), headers=LAB).json["job_id"]
    api.client.post("/login", data={"token": "secret"})
    token = form_token(look(api, "/"))
    api.client.post(f"/job/{job_id}/cancel", data={FORM_FIELD: token, "why": "blurred"})

    (entry,) = log(api)
    assert (entry["who"], entry["action"], entry["details"]) == (
        "lab1-pc",
        "pages.cancel",
        '{"why": "blurred"}',
    )


def test_tokens_are_logged_without_their_secrets(api: Api) -> None:
    body = {"name": "new", "scopes": ["read"]}
    secret = api.client.post("/HASTE/tokens/", json=body, headers=OWN).json["secret"]
    api.client.post("/HASTE/token/new/revoke", headers=OWN)

    entries = log(api)
    assert [entry["action"] for entry in entries] == ["tokens.revoke", "tokens.create"]
    assert secret not in str(entries)


def test_long_bodies_are_cut_short(api: Api) -> None:
    api.client.post("/HASTE/job/", json=spec(stream_id="s", index=1), headers=LAB)
    priorities = {"stream_id": "s", "priorities": {str(number): 1.0 for number in range(1, 2000)}}
    api.client.patch("/HASTE/priority", json=priorities, headers=LAB)

    (entry,) = log(api)
    assert len(entry["details"]) == 4001


def test_only_administrators_of_all_projects_see_the_log(api: Api) -> None:
    api.store.add_token(NewToken("some", (Scope.ADMIN,), ("a",)), sha256_of("some"), now=api.now)

    assert api.client.get("/HASTE/audit/", headers=LAB).status_code == 403
    assert api.client.get("/HASTE/audit/", headers={"Authorization": "Bearer some"}).status_code == 403


def test_every_change_but_images_that_come_is_logged(api: Api) -> None:
    changing = {
        rule.endpoint
        for rule in api.client.application.url_map.iter_rules()
        if rule.methods & {"POST", "PATCH", "DELETE", "PUT"}
    }
    assert {endpoint for endpoint in changing if not is_logged(endpoint)} == {
        *("jobs.submit", "jobs.submit_many", "agent.receive", "streams.receive"),
        *("uploads.create", "uploads.append", "uploads.overridden", "uploads.terminate"),
        *("objects.preview", "pages.preview_policy", "pages.log_in", "pages.log_out"),
    }
