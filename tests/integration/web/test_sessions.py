"""Pages for who has a token of his own: its scopes and its projects count there, too."""

import re

import pytest

from haste_core.states import TaskState
from haste_core.tokens import NewToken, Scope, sha256_of
from haste_server.api.credentials import KEPT_S
from haste_server.api.scopes import OPEN, wanted_by
from haste_server.api.sessions import FORM_FIELD, FORM_HEADER
from tests.integration.api.conftest import Api, spec
from tests.integration.api.test_alerts import raise_alerts
from tests.integration.web.conftest import DECIDED, TOKEN, decide_all, form_token, look


def log_in_as(api: Api, name: str, scope: Scope, *projects: str, expires_at: float | None = None) -> None:
    """Make a token, and log in with it."""
    wanted = NewToken(name, (scope,), projects or None, expires_at)
    api.store.add_token(wanted, sha256_of(f"secret {name}"), now=api.now)
    answer = api.client.post("/login", data={"token": f"secret {name}"})
    assert answer.status_code == 303, answer.text
    assert f"secret {name}" not in str(answer.headers)


def submitted(api: Api, project: str) -> int:
    api.client.post(
        "/HASTE/stream/",
        json={"stream_id": "plate7", "pipeline": "focus-tier", "project": project},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    header = {"Authorization": f"Bearer {TOKEN}"}
    answer = api.client.post("/HASTE/job/", json=spec(stream_id="plate7"), headers=header)
    return int(answer.json["job_id"])


def test_who_may_read_sees_pages_and_changes_nothing(guarded: Api) -> None:
    job_id = submitted(guarded, "a")
    log_in_as(guarded, "reader", Scope.READ)
    token = form_token(look(guarded, f"/job/{job_id}"))

    refused = guarded.client.post(f"/job/{job_id}/cancel", data={FORM_FIELD: token})
    assert refused.status_code == 403
    assert "needs the scope submit" in refused.text
    by_api = guarded.client.post(f"/HASTE/job/{job_id}/cancel", headers={FORM_HEADER: token})
    assert by_api.status_code == 403
    assert "needs the scope submit" in by_api.json["detail"]
    assert guarded.store.job(job_id).state == 201
    assert guarded.client.post("/logout", data={FORM_FIELD: token}).status_code == 303


def changes_offered(page: str) -> set[str]:
    """List where the forms of a page that change something lead to."""
    return set(re.findall(r'<form method="post" action="([^"]+)"', page)) - {"/logout"}


def test_who_may_only_read_is_offered_no_changes(guarded: Api) -> None:
    guarded.now += 1
    log_in_as(guarded, "user", Scope.SUBMIT)
    header = {"Authorization": f"Bearer {TOKEN}"}
    for name in ("A01", "A02"):
        wanted = spec(stream_id="plate7", source_id=name, tasks=DECIDED)
        assert guarded.client.post("/HASTE/job/", json=wanted, headers=header).status_code == 201
        guarded.run("focus-score", plls=-1.5, empty=False, noise_lift=0, speck_lift=0, size_bytes=1000)
    decide_all(guarded)
    guarded.run("tier", TaskState.ERROR)
    pages = ["/", "/stream/plate7", "/stream/plate7/mode", "/jobs", "/job/1", "/job/2", "/alerts", "/workers"]
    offered = {page: changes_offered(look(guarded, page)) for page in pages}
    assert "New job" in look(guarded, "/jobs")
    for page in ("/stream/plate7", "/stream/plate7/mode", "/jobs", "/job/1"):
        assert offered[page], page
    guarded.client.post("/logout", data={FORM_FIELD: form_token(look(guarded, "/"))})

    log_in_as(guarded, "reader", Scope.READ)
    seen_by_reader = {page: look(guarded, page) for page in pages}

    tries = {page for page, text in seen_by_reader.items() if changes_offered(text)}
    assert tries <= {"/stream/plate7"}  # what would be, everybody may ask
    assert ">Apply<" not in seen_by_reader["/stream/plate7"]
    assert "What if" in seen_by_reader["/stream/plate7"]
    for text in seen_by_reader.values():
        assert not re.search("checkbox|what to do|New job|enforce…|Acknowledge", text)


def test_who_may_submit_steers_from_pages(guarded: Api) -> None:
    job_id = submitted(guarded, "a")
    log_in_as(guarded, "user", Scope.SUBMIT, "a")
    token = form_token(look(guarded, f"/job/{job_id}"))

    assert guarded.client.post(f"/job/{job_id}/cancel", data={FORM_FIELD: token}).status_code == 303
    assert guarded.store.job(job_id).state == 410


def test_a_session_ends_with_its_token(guarded: Api) -> None:
    log_in_as(guarded, "a", Scope.READ)
    log_in_as(guarded, "b", Scope.READ, expires_at=guarded.now + 60)
    assert guarded.client.get("/").status_code == 200

    guarded.now += 60
    assert guarded.client.get("/").status_code == 303
    assert "Log in" in look(guarded, "/login")
    log_in_again = guarded.client.post("/login", data={"token": "secret a"})
    assert log_in_again.status_code == 303
    guarded.store.revoke_token("a", now=guarded.now)
    guarded.now += KEPT_S
    assert guarded.client.get("/").status_code == 303
    assert guarded.client.get("/HASTE/jobs/").status_code == 401
    refused = guarded.client.post("/login", data={"token": "secret a"})
    assert refused.status_code == 403
    assert "was revoked" in refused.text


def test_no_session_is_made_to_name_another_token(guarded: Api) -> None:
    log_in_as(guarded, "reader", Scope.READ)
    cookie = guarded.client.get_cookie("haste_page_default")
    assert cookie is not None
    ends_at, token_id, nonce, signature = cookie.value.split(".")
    assert token_id != "0"

    guarded.client.set_cookie("haste_page_default", f"{ends_at}.0.{nonce}.{signature}")
    assert guarded.client.get("/").status_code == 303


OF_NO_STREAM = frozenset(
    f"pages.{name}" for name in ("act_on_jobs", "alerts", "api", "jobs", "new_job", "submit_job", "workers")
)


def test_no_page_leads_to_another_project(guarded: Api) -> None:
    job_id = submitted(guarded, "a")
    before = guarded.store.job(job_id)
    log_in_as(guarded, "stranger", Scope.ADMIN, "b")
    page = look(guarded, "/")
    assert "plate7" not in page
    token = form_token(page)

    values = {"stream_id": "plate7", "job_id": str(job_id), "alert_id": "1"}
    values |= {"task_id": str(before.tasks[0].task_id), "action": "retry"}
    asked = 0
    for rule in guarded.client.application.url_map.iter_rules():
        if not rule.endpoint.startswith("pages.") or wanted_by(rule.endpoint) is OPEN:
            continue
        if rule.endpoint in ("pages.streams", "pages.log_out"):
            continue
        expected = (200, 400) if rule.endpoint in OF_NO_STREAM else (404,)
        address = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], rule.rule)
        data = {FORM_FIELD: token, "tier": "archive", "reason": "good", "priority": "1", "action": "retry"}
        data |= {"job": str(job_id), "mode": "enforce"}
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            answer = guarded.client.open(address, method=method, data=data if method == "POST" else None)
            assert answer.status_code in expected, (address, answer.text)
            assert not re.search(r"A01\b|/stream/plate7", answer.text), address
            asked += 1
    assert asked >= 7
    assert guarded.store.job(job_id) == before


@pytest.mark.parametrize("project", ["a", "b"])
def test_the_own_projects_pages_are_whole(guarded: Api, project: str) -> None:
    job_id = submitted(guarded, project)
    log_in_as(guarded, "user", Scope.READ, "a", "b")

    for path in ("/", "/stream/plate7", f"/job/{job_id}"):
        assert "plate7" in look(guarded, path)


def test_a_page_of_one_project_is_not_taken_for_that_of_another(guarded: Api) -> None:
    submitted(guarded, "a")
    tags = []
    for name, project in (("owner", "a"), ("stranger", "b")):
        log_in_as(guarded, name, Scope.ADMIN, project)
        page = guarded.client.get("/", headers={"If-None-Match": ", ".join(tags)})
        assert page.status_code == 200
        assert ("plate7" in page.text) is (project == "a")
        tags.append(page.headers["ETag"])
    assert tags[0] != tags[1]


def test_the_form_that_asks_for_the_token_tells_no_alerts(guarded: Api) -> None:
    guarded.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    raise_alerts(guarded)
    del guarded.client.environ_base["HTTP_AUTHORIZATION"]
    (alert,) = guarded.store.newest_open(cursor=None, limit=1).items
    log_in_as(guarded, "other", Scope.READ, "another-project")
    assert alert.message not in look(guarded, "/")

    refused = guarded.client.post("/login", data={"token": "a wrong one"})

    assert refused.status_code == 403
    assert alert.message not in refused.text
    guarded.store.revoke_token("other", now=guarded.now)
    guarded.now += 2 * KEPT_S
    assert alert.message not in look(guarded, "/login")
