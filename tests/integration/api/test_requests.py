"""What no request may do: cause a 500, get in without the token, find an undocumented way."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haste_core.errors import TransientError
from haste_core.stores import JobStore
from haste_core.tokens import NewToken, Scope, sha256_of
from haste_server.api.scopes import wanted_by
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import LIMITS, Api, spec

TOKEN = "a token of some length"
BODY_CALLS = [
    ("POST", "/HASTE/job/"),
    ("POST", "/HASTE/jobs/"),
    ("POST", "/HASTE/stream/"),
    ("POST", "/HASTE/stream/plate7/mode"),
    ("PATCH", "/HASTE/priority"),
]
MALFORMED = {
    "nothing": b"",
    "half an object": b'{"source_id": "A01"',
    "more than an object": b"{} {}",
    "a list": b"[]",
    "a string that holds JSON": json.dumps(json.dumps(spec())).encode(),
    "null": b"null",
    "NaN": b'{"priority": NaN}',
    "Infinity": b'{"priority": -Infinity}',
    "a number beyond all": b'{"priority": 1e999}',
    "a number of 5000 digits": b'{"priority": 1' + b"0" * 5000 + b"}",
    "a name twice": b'{"source_id": "A01", "source_id": "B01"}',
    "half a surrogate pair": b'{"source_id": "\\ud800"}',
    "half a pair as a name": b'{"\\udfff": 1}',
    "no UTF-8": b'{"source_id": "\xff"}',
    "UTF-16": json.dumps(spec()).encode("utf-16"),
    "nested deep": b'{"metadata":' + b'{"a":' * 70 + b"1" + b"}" * 71,
    "nested to the ground": b"[" * 100_000,
    "nested to the ground, closed": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "a form": b"source_id=A01",
}


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/HASTE/stream/plate7/images?tier=a+b", "is not the name of a tier: at most 100 letters, digits"),
        ("/HASTE/stream/plate7/images?cursor=x", "is no cursor of this list"),
        ("/HASTE/stream/plate7/decisions?cursor=-1", "is no cursor of this list"),
        ("/HASTE/jobs/?cursor=x", "is no cursor of this list"),
        ("/HASTE/stream/?cursor=a+b", "is no cursor of this list"),
    ],
)
def test_forms_of_names_and_cursors_are_told_in_words(api: Api, path: str, what: str) -> None:
    answer = api.client.get(path)
    assert answer.status_code == 400
    (problem,) = answer.json["problems"]
    assert what in problem["what"]
    assert "[" not in problem["what"]


@pytest.mark.parametrize(("method", "path"), BODY_CALLS)
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies_are_refused(api: Api, method: str, path: str, name: str) -> None:
    answer = api.client.open(path, method=method, data=MALFORMED[name], content_type="application/json")

    assert answer.status_code == 400, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json["problems"]
    assert api.client.get("/HASTE/jobs/").json["jobs"] == []


@pytest.mark.parametrize(("method", "path"), BODY_CALLS)
def test_a_body_of_another_kind_is_refused(api: Api, method: str, path: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        answer = api.client.open(path, method=method, data=json.dumps(spec()), content_type=kind)
        assert answer.status_code == 415


@pytest.mark.parametrize("in_chunks", [False, True], ids=["whole", "in chunks"])
@pytest.mark.parametrize(("method", "path"), BODY_CALLS)
def test_an_oversize_body_is_refused(api: Api, method: str, path: str, in_chunks: bool) -> None:
    # Cut off where it becomes too large, it would be JSON.
    body = b'{"a": "x"}' + b" " * LIMITS.body_bytes
    how: dict[str, Any] = {"data": body}
    if in_chunks:  # as gunicorn hands on a body whose length nobody has told
        how = {"input_stream": io.BytesIO(body), "environ_overrides": {"wsgi.input_terminated": True}}

    answer = api.client.open(path, method=method, content_type="application/json", **how)

    assert (answer.status_code, answer.content_type) == (413, "application/problem+json")
    assert answer.get_json()["code"] == "too-large"
    assert "larger than the 200,000 bytes" in answer.get_json()["detail"]


def test_what_is_just_allowed_is_stored_as_it_was_sent(api: Api) -> None:
    metadata: dict[str, Any] = {"big": 10**300, "text": "\u0000 \U0001f52c é", "tiny": 5e-324}
    for _ in range(20):
        metadata = {"inner": metadata}

    job = api.submit(metadata=metadata)

    assert api.client.get(f"/HASTE/job/{job['job_id']}").json["metadata"] == metadata


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["source_url", "source_id", "tasks", "site", "stream_id", "index", "priority", "location", "metadata"]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(FIELDS | st.text(max_size=10), JSON_VALUES, max_size=4), bulk=st.booleans())
def test_no_body_is_our_fault(api: Api, changes: dict[str, Any], bulk: bool) -> None:
    wanted = spec(**changes)
    path, body = ("/HASTE/jobs/", {"jobs": [wanted]}) if bulk else ("/HASTE/job/", wanted)

    answer = api.client.post(path, data=json.dumps(body), content_type="application/json")

    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/HASTE",
        "/HASTE/",
        "/HASTE/job/1/2",
        "/HASTE/%ff",
        "/HASTE/../etc/passwd",
        "/HASTE//job//1",
        "/a\x00b",
    ],
)
def test_unknown_addresses_are_problems_too(api: Api, path: str) -> None:
    answer = api.client.get(path)

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == 404


def test_an_outage_is_told_with_the_time_to_try_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> JobStore:
        raise TransientError("the database is not available: connection refused")

    monkeypatch.setattr(SqlStore, "job", away)

    answer = api.client.get("/HASTE/job/1")

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "database" in answer.json["detail"]


def test_our_own_faults_are_logged_and_not_shown(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> JobStore:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(SqlStore, "job", broken)

    answer = api.client.get("/HASTE/job/1")

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "a secret detail" in caplog.text


@pytest.fixture
def guarded(store: SqlStore, tmp_path: Path) -> Api:
    return Api(store, tmp_path / "landing", token=TOKEN)


@pytest.mark.parametrize(
    "header", [None, "", TOKEN, "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ä\udcff"]
)
def test_without_the_token_nobody_gets_in(guarded: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}

    for call in ("/HASTE/jobs/", "/HASTE/nothing", "/HASTE"):
        answer = guarded.client.get(call, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_the_way_is_open(guarded: Api, scheme: str) -> None:
    answer = guarded.client.get("/HASTE/jobs/", headers={"Authorization": f"{scheme} {TOKEN}"})

    assert answer.status_code == 200
    assert guarded.client.get("/healthz").status_code == 200
    assert guarded.client.get("/readyz").status_code == 200


def test_an_unknown_address_is_answered_with_where_calls_are_listed(guarded: Api) -> None:
    answer = guarded.client.get("/HASTE/strem/", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 404
    assert "/api lists the calls" in answer.json["detail"]


def test_problems_are_told_apart_by_their_codes(guarded: Api) -> None:
    for name, scope in (("reader", Scope.READ), ("admin", Scope.ADMIN)):
        guarded.store.add_token(NewToken(name, (scope,), ("a",)), sha256_of(name), now=guarded.now)
    own, tus = {"Authorization": f"Bearer {TOKEN}"}, {"Tus-Resumable": "1.0.0"}
    large = {"Upload-Length": str(LIMITS.upload_bytes + 1)}
    agent = {"X-HASTE-original_filename": "a.tif", "X-HASTE-tag": "none"}

    def code(method: str, path: str, headers: dict[str, str], **sent: Any) -> tuple[int, str]:
        answer = guarded.client.open(path, method=method, headers=headers, **sent)
        assert answer.json["status"] == answer.status_code
        return answer.status_code, answer.json["code"]

    assert code("GET", "/HASTE/jobs/", {}) == (401, "token-missing")
    assert code("GET", "/HASTE/jobs/", {"Authorization": "Bearer x"}) == (401, "token-refused")
    assert code("POST", "/HASTE/job/", {"Authorization": "Bearer reader"}) == (403, "scope-missing")
    assert code("GET", "/HASTE/audit/", {"Authorization": "Bearer admin"}) == (403, "project-limited")
    assert code("POST", "/HASTE/job/", own | {"Origin": "http://evil.example"}) == (403, "foreign-page")
    assert code("GET", "/HASTE/job/1", own) == (404, "not-found")
    assert code("GET", "/HASTE/nothing", own) == (404, "not-found")
    assert code("PUT", "/HASTE/job/1", own) == (405, "method-not-allowed")
    assert code("POST", "/HASTE/job/", own) == (415, "wrong-content-type")
    assert code("POST", "/HASTE/job/", own, json={}) == (400, "invalid")
    assert code("GET", "/HASTE/tier/tierA/images", own) == (409, "conflict")
    assert code("POST", "/HASTE/files/", own) == (412, "tus-version")
    assert code("POST", "/HASTE/files/", own | tus | large) == (413, "too-large")
    assert code("POST", "/HASTE/stream/a", own | agent) == (412, "tag-unknown")


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_operation_is_described(api: Api) -> None:
    document = api.client.get("/openapi/openapi.json").json

    assert document["openapi"].startswith("3.1")
    described = {(method, path) for path, method, _ in operations(document)}
    rules = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in api.client.application.url_map.iter_rules()
        if not rule.rule.startswith("/openapi") and not rule.endpoint.startswith("pages.")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert described == rules
    for path, method, operation in operations(document):
        assert operation["summary"], (path, method)
        assert any(status.startswith("2") for status in operation["responses"])
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                assert "application/problem+json" in answer["content"], (path, method, status)


def test_every_operation_tells_the_scope_that_it_asks_for(api: Api) -> None:
    document = api.client.get("/openapi/openapi.json").json
    schemes = document["components"]["securitySchemes"]
    told = {}
    for path, method, operation in operations(document):
        alternatives = [pair for item in operation["security"] for pair in item.items()]
        assert {name for name, _ in alternatives} <= set(schemes)
        concrete = re.sub(r"\{\w+\}", "1", path)
        endpoint, _ = api.client.application.url_map.bind("server").match(concrete, method.upper())
        asked_for = {scope for _, (scope,) in alternatives}
        assert asked_for == set(wanted_by(endpoint)), (method, path)
        assert all(f"`{scope}`" in operation["description"] for scope in asked_for)
        assert len(re.findall("Asks for a token|Open to all", operation["description"])) == 1
        told[endpoint] = operation
    assert told["jobs.submit"]["security"] == [{"token": ["submit"]}]
    assert told["uploads.create"]["security"] == [{"token": ["submit"]}, {"token": ["work"]}]
    assert told["agent.receive"]["security"] == [{"token": ["submit"]}, {"agent": ["submit"]}]
    assert told["health.ready"]["security"] == []
    assert told["tokens.create"]["description"].endswith("of scope `admin`, for all projects.")


def test_every_reference_of_the_description_leads_somewhere(api: Api) -> None:
    text = api.client.get("/openapi/openapi.json").text
    document = json.loads(text)

    for reference in set(re.findall(r'"#/([^"]+)"', text)):
        target = document
        for part in reference.split("/"):
            target = target[part]


ODD_VALUES = [
    "0",
    "-1",
    "99999999999999999999",
    "a b",
    "%00",
    "..",
    "\u0663",
    "x" * 3000,
    "'; DROP TABLE jobs; --",
]


def test_no_operation_answers_what_it_does_not_describe(api: Api) -> None:
    """Send odd values to every operation; only described answers may come back."""
    document = api.client.get("/openapi/openapi.json").json
    api.submit()
    for path, method, operation in operations(document):
        for value in ODD_VALUES:
            url = re.sub(r"\{\w+\}", value, path)
            query = {item["name"]: value for item in operation.get("parameters", []) if item["in"] == "query"}
            for body in (None, {value: 1}):
                answer = api.client.open(url, method=method.upper(), query_string=query, json=body)
                undescribed = answer.status_code not in (404, 405) and (
                    str(answer.status_code) not in operation["responses"]
                )
                assert not undescribed, (method, url, answer.status_code, answer.text)
