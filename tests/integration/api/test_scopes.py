"""Who gets in, and what for: every route of the application, with every kind of token."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from haste_core.errors import TransientError
from haste_core.tokens import NewToken, Scope, included, sha256_of, work_token_of
from haste_server.api.credentials import KEPT_S
from haste_server.api.failed_logins import MOST, WITHIN_S
from haste_server.api.scopes import OPEN, SCOPES, wanted_by
from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import Api, spec

TOKEN = "a token of some length"
NOT_ALWAYS_THERE = frozenset({"openapi", "openapi.doc_url", "openapi.index", "openapi.static"})
HEADERS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def guarded(store: SqlStore, tmp_path: Path) -> Api:
    return Api(store, tmp_path / "landing", token=TOKEN)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def give(api: Api, name: str, *scopes: Scope, expires_at: float | None = None) -> dict[str, str]:
    """Store a token, and return the header that shows it."""
    api.store.add_token(NewToken(name, scopes, None, expires_at), sha256_of(f"secret {name}"), now=api.now)
    return bearer(f"secret {name}")


def routes(client: FlaskClient) -> Iterator[tuple[str, str, str]]:
    """Go through endpoint, method and an address of every route."""
    for rule in client.application.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"} or rule.methods:
            yield rule.endpoint, method, re.sub(r"<[^>]+>", "1", rule.rule)


def test_every_route_names_its_scope_and_nothing_else_is_named(api: Api) -> None:
    there = {endpoint for endpoint, _, _ in routes(api.client)}

    assert there - set(SCOPES) == set()
    assert set(SCOPES) - there - NOT_ALWAYS_THERE == set()


def test_a_route_that_nobody_named_is_for_administrators() -> None:
    assert wanted_by("jobs.something_new") == {Scope.ADMIN}


def test_every_route_opens_to_its_scopes_only(guarded: Api) -> None:
    shown = {scope: give(guarded, scope.value, scope) for scope in Scope}
    asked = 0
    for endpoint, method, address in routes(guarded.client):
        wanted = wanted_by(endpoint)
        if wanted is OPEN or endpoint.startswith("pages."):
            continue
        asked += 1
        nobody = guarded.client.open(address, method=method, headers=HEADERS)
        assert nobody.status_code == 401, address
        for scope, header in shown.items():
            answer = guarded.client.open(address, method=method, headers=HEADERS | header)
            if included([scope]).isdisjoint(wanted):
                assert answer.status_code == 403, (address, scope)
                assert answer.content_type == "application/problem+json"
                assert "needs the scope" in answer.json["detail"]
            else:
                assert answer.status_code not in (401, 403), (address, scope, answer.text)
    assert asked > 40


def test_what_is_open_needs_no_token(guarded: Api) -> None:
    for path in ("/healthz", "/readyz", "/openapi/openapi.json", "/login"):
        assert guarded.client.get(path).status_code == 200


def test_the_token_of_the_settings_makes_others(guarded: Api) -> None:
    body = {"name": "lab1-pc", "scopes": ["submit", "submit"], "expires_at": guarded.now + 60}
    made = guarded.client.post("/HASTE/tokens/", json=body, headers=bearer(TOKEN))

    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    secret = made.json["secret"]
    assert re.fullmatch(r"haste_[\w-]{43}", secret)
    assert made.json["good"]
    sent = guarded.client.post("/HASTE/job/", json=spec(), headers=bearer(secret))
    assert sent.status_code == 201
    assert guarded.client.post("/HASTE/tokens/", json=body, headers=bearer(secret)).status_code == 403

    listed = guarded.client.get("/HASTE/tokens/", headers=bearer(TOKEN))
    assert listed.json == {
        "tokens": [
            {
                "name": "lab1-pc",
                "scopes": ["submit"],
                "projects": None,
                "created_at": guarded.now,
                "expires_at": guarded.now + 60,
                "revoked_at": None,
                "last_used_at": guarded.now,
                "upload_quota_bytes": None,
                "upload_held_bytes": 0,
                "good": True,
            }
        ],
        "next": None,
    }
    assert secret not in listed.text
    with (Path(guarded.store.database.url.database)).open("rb") as file:
        assert secret.encode() not in file.read()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": "two words"}, "name"),
        ({"name": "(settings)"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["write"]}, "scopes"),
        ({"projects": []}, "projects"),
        ({"projects": ["a b"]}, "projects"),
        ({"expires_at": 5}, "expires_at"),
    ],
)
def test_a_token_that_cannot_be_made_is_refused(guarded: Api, change: dict[str, object], where: str) -> None:
    body = {"name": "a", "scopes": ["read"]} | change
    answer = guarded.client.post("/HASTE/tokens/", json=body, headers=bearer(TOKEN))

    assert answer.status_code == 400
    assert answer.json["problems"][0]["where"].startswith(where)


def test_a_name_is_given_once(guarded: Api) -> None:
    give(guarded, "a", Scope.READ)
    body = {"name": "a", "scopes": ["read"]}
    answer = guarded.client.post("/HASTE/tokens/", json=body, headers=bearer(TOKEN))

    assert answer.status_code == 409
    assert "choose another name" in answer.json["detail"]


def test_a_revoked_token_opens_nothing_after_a_moment(guarded: Api) -> None:
    header = give(guarded, "a", Scope.READ)
    assert guarded.client.get("/HASTE/jobs/", headers=header).status_code == 200

    revoked = guarded.client.post("/HASTE/token/a/revoke", headers=bearer(TOKEN))
    assert (revoked.status_code, revoked.json["good"]) == (200, False)
    guarded.now += KEPT_S

    answer = guarded.client.get("/HASTE/jobs/", headers=header)
    assert answer.status_code == 401
    assert "the token 'a' was revoked" in answer.json["detail"]
    assert guarded.client.post("/HASTE/token/b/revoke", headers=bearer(TOKEN)).status_code == 404


def test_a_token_ends_when_it_was_said(guarded: Api) -> None:
    header = give(guarded, "a", Scope.READ, expires_at=guarded.now + 1)
    assert guarded.client.get("/HASTE/jobs/", headers=header).status_code == 200

    guarded.now += 1
    answer = guarded.client.get("/HASTE/jobs/", headers=header)
    assert answer.status_code == 401
    assert "the token 'a' has expired" in answer.json["detail"]


def test_after_too_many_wrong_tokens_an_address_has_to_wait(
    guarded: Api, caplog: pytest.LogCaptureFixture
) -> None:
    known = give(guarded, "known", Scope.READ)
    assert guarded.client.get("/HASTE/jobs/", headers=known).status_code == 200
    fresh = give(guarded, "fresh", Scope.READ)
    with caplog.at_level(logging.DEBUG):
        for number in range(MOST):
            answer = guarded.client.get("/HASTE/jobs/", headers=bearer(f"wrong {number}"))
            assert answer.status_code == 401
    assert "wrong 3" not in " ".join(str(record.__dict__) for record in caplog.records)

    for header in (bearer("wrong"), fresh):
        answer = guarded.client.get("/HASTE/jobs/", headers=header)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "60"
        assert answer.content_type == "application/problem+json"
    guarded.now += KEPT_S  # who was let in before goes on, though it is looked up anew
    assert guarded.client.get("/HASTE/jobs/", headers=known).status_code == 200
    assert guarded.client.get("/HASTE/jobs/", headers=bearer(TOKEN)).status_code == 200
    other = {"REMOTE_ADDR": "192.0.2.7"}
    assert guarded.client.get("/HASTE/jobs/", headers=fresh, environ_base=other).status_code == 200
    guarded.now += WITHIN_S
    assert guarded.client.get("/HASTE/jobs/", headers=bearer("wrong")).status_code == 401


def test_wrong_tokens_are_counted_over_all_processes_of_a_database(
    guarded: Api, store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = [guarded, *(Api(store, tmp_path / name, token=TOKEN) for name in "ab")]
    fresh = give(guarded, "fresh", Scope.READ)
    for number in range(MOST):
        answer = processes[number % 3].client.get("/HASTE/jobs/", headers=bearer(f"wrong {number}"))
        assert answer.status_code == 401

    for process in processes:
        answer = process.client.get("/HASTE/jobs/", headers=fresh)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    monkeypatch.setattr(SqlStore, "failed_logins", None)  # who has to wait makes no work for the database
    assert guarded.client.get("/HASTE/jobs/", headers=fresh).status_code == 429


def test_addresses_of_ipv4_are_told_apart_also_behind_a_socket_for_both_kinds(guarded: Api) -> None:
    fresh = give(guarded, "fresh", Scope.READ)

    def ask(address: str, header: dict[str, str]) -> int:
        base = {"REMOTE_ADDR": address}
        return guarded.client.get("/HASTE/jobs/", headers=header, environ_base=base).status_code

    tried = [ask("::ffff:192.0.2.7", bearer(f"wrong {number}")) for number in range(MOST + 1)]
    assert tried == [*[401] * MOST, 429]
    assert ask("192.0.2.7", fresh) == 429
    assert (ask("::1", fresh), ask("::ffff:192.0.2.8", fresh)) == (200, 200)


def test_a_token_that_was_revoked_here_opens_nothing_from_then_on(guarded: Api) -> None:
    header = give(guarded, "lost", Scope.READ)
    assert guarded.client.get("/HASTE/jobs/", headers=header).status_code == 200

    assert guarded.client.post("/HASTE/token/lost/revoke", headers=bearer(TOKEN)).status_code == 200

    refused = guarded.client.get("/HASTE/jobs/", headers=header)
    assert (refused.status_code, refused.json["code"]) == (401, "token-refused")


def test_failures_that_count_no_more_are_forgotten(guarded: Api, store: SqlStore) -> None:
    for _ in range(2):
        guarded.client.get("/HASTE/jobs/", headers=bearer("wrong"))
        guarded.now += WITHIN_S + 1

    assert store.failed_logins("127.0.0.1", since=0, limit=10) == [guarded.now - WITHIN_S - 1]


def test_good_tokens_are_not_held_up_by_the_count(guarded: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    known = give(guarded, "known", Scope.READ)
    assert guarded.client.get("/HASTE/jobs/", headers=known).status_code == 200
    monkeypatch.setattr(SqlStore, "failed_logins", None)
    guarded.now += KEPT_S

    for header in (known, bearer(TOKEN)):
        assert guarded.client.get("/HASTE/jobs/", headers=header).status_code == 200


def test_who_shows_nothing_is_no_failure(guarded: Api) -> None:
    for _ in range(MOST + 1):
        assert guarded.client.get("/HASTE/jobs/").status_code == 401

    assert guarded.client.get("/HASTE/jobs/", headers=give(guarded, "a", Scope.READ)).status_code == 200


def test_without_a_database_the_settings_token_is_known(
    guarded: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = give(guarded, "a", Scope.READ)

    def away(*_: object, **__: object) -> None:
        raise TransientError("the database is not available")

    monkeypatch.setattr(SqlStore, "token_by_hash", away)
    assert guarded.client.get("/HASTE/jobs/", headers=header).status_code == 503
    assert guarded.client.get("/HASTE/jobs/", headers=bearer(TOKEN)).status_code == 200


def test_where_nothing_can_be_written_a_token_still_opens(
    guarded: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = give(guarded, "a", Scope.READ)

    def full(*_: object, **__: object) -> None:
        raise TransientError("the database is full")

    monkeypatch.setattr(SqlStore, "note_token_use", full)
    assert guarded.client.get("/HASTE/jobs/", headers=header).status_code == 200


def test_the_servers_own_workers_may_read_and_upload_only(guarded: Api) -> None:
    own = bearer(work_token_of(TOKEN))

    assert guarded.client.get("/HASTE/jobs/", headers=own).status_code == 200
    assert guarded.client.options("/HASTE/files/", headers=own).status_code == 204
    assert guarded.client.post("/HASTE/job/", json=spec(), headers=own).status_code == 403


def test_the_token_of_the_own_workers_opens_no_pages(guarded: Api) -> None:
    answer = guarded.client.post("/login", data={"token": work_token_of(TOKEN)})
    assert answer.status_code == 403


def test_a_token_is_told_what_it_is_good_for(guarded: Api, api: Api) -> None:
    shown = give(guarded, "pc", Scope.SUBMIT, expires_at=guarded.now + 60)
    assert guarded.client.get("/HASTE/tokens/own", headers=shown).json == {
        "name": "pc",
        "scopes": ["read", "submit"],
        "projects": None,
        "expires_at": guarded.now + 60,
        "is_asked_for": True,
    }
    assert guarded.client.get("/HASTE/tokens/own", headers=bearer(TOKEN)).json["name"] == "(settings)"
    assert guarded.client.get("/HASTE/tokens/own").status_code == 401
    anyone = api.client.get("/HASTE/tokens/own").json
    assert (anyone["name"], anyone["is_asked_for"]) == ("(anyone)", False)
