"""Users whom a trusted proxy names, and those who only say that they came by it."""

import re
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from haste_server.api.sessions import FORM_FIELD, FORM_HEADER
from haste_server.store.sql import SqlStore
from haste_server.trusted_proxy import TrustedProxy
from tests.integration.api.conftest import Api
from tests.integration.web.conftest import form_token, look

TOKEN = "a token of some length"
HEADER = "X-Remote-User"
PROXY = "10.0.0.7"
NGINX = Path(__file__).resolve().parents[3] / "deploy" / "nginx" / "haste.conf"
USERS = {
    "ana@lab": {"scopes": ["submit"], "projects": ["lab1"]},
    "root": {"scopes": ["admin"]},
    "*": {"scopes": ["read"], "projects": ["shown"]},
}
NEW = {"stream_id": "plate7", "pipeline": "focus-tier"}


def server(store: SqlStore, folder: Path, **proxy: Any) -> Api:
    given = {"user_header": HEADER, "addresses": ["10.0.0.0/28", "fd00::/64"], "users": USERS} | proxy
    return Api(store, folder, token=TOKEN, trusted_proxy=TrustedProxy.model_validate(given))


@pytest.fixture
def api(store: SqlStore, tmp_path: Path) -> Api:
    return server(store, tmp_path / "landing")


def ask(
    api: Api, path: str, user: str | None, *, address: str = PROXY, method: str = "GET", **more: Any
) -> TestResponse:
    headers = ({} if user is None else {HEADER: user}) | more.pop("headers", {})
    environment = {"REMOTE_ADDR": address}
    return api.client.open(path, method=method, headers=headers, environ_overrides=environment, **more)


def test_a_user_has_the_rights_of_the_settings(api: Api) -> None:
    made = ask(api, "/HASTE/stream/", "ana@lab", method="POST", json=NEW)

    assert made.status_code == 201
    assert made.json["project"] == "lab1"
    assert ask(api, "/HASTE/tokens/", "ana@lab").status_code == 403
    assert ask(api, "/HASTE/tokens/", "root").status_code == 200
    assert ask(api, "/HASTE/stream/plate7", "root").status_code == 200
    assert ask(api, "/HASTE/stream/plate7", "somebody").status_code == 404
    refused = ask(api, "/HASTE/stream/", "somebody", method="POST", json=NEW)
    assert refused.status_code == 403
    assert "the user 'proxy:somebody' may not do this: it needs the scope submit" in refused.json["detail"]


def test_the_log_of_changes_names_the_user(api: Api) -> None:
    ask(api, "/HASTE/stream/", "ana@lab", method="POST", json=NEW)

    (entry,) = ask(api, "/HASTE/audit/?who=proxy:ana@lab", "root").json["entries"]
    assert (entry["who"], entry["address"], entry["action"]) == ("proxy:ana@lab", PROXY, "streams.create")


@pytest.mark.parametrize(
    "address", ["10.0.0.16", "10.0.0.6.example", "127.0.0.1", "::1", "fd00:0:0:1::1", "::ffff:10.0.0.99", ""]
)
def test_from_anybody_else_the_header_says_nothing(api: Api, address: str) -> None:
    for path in ("/HASTE/jobs/", "/HASTE/tokens/", "/metrics"):
        answer = ask(api, path, "root", address=address)
        assert answer.status_code == 401
    assert ask(api, "/", "root", address=address).headers["Location"] == "/login?next=/"
    forwarded = {"X-Forwarded-For": PROXY, "Forwarded": f"for={PROXY}", "X-Real-IP": PROXY}
    assert ask(api, "/HASTE/jobs/", "root", address=address, headers=forwarded).status_code == 401


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::7", "::ffff:10.0.0.3"])
def test_proxies_are_known_by_their_networks(api: Api, address: str) -> None:
    assert ask(api, "/HASTE/jobs/", "root", address=address).status_code == 200


@pytest.mark.parametrize(
    "said", ["ana@lab, root", "root,root", " ,root", "(null)", "*", "ro\xf6t", "r" * 101]
)
def test_what_is_no_name_is_refused(api: Api, said: str) -> None:
    for path in ("/HASTE/jobs/", "/"):
        assert ask(api, path, said).status_code == 403


def test_two_headers_are_no_name(api: Api) -> None:
    headers = [(HEADER, "ana@lab"), (HEADER, "root")]
    answer = api.client.get("/HASTE/jobs/", headers=headers, environ_overrides={"REMOTE_ADDR": PROXY})
    assert answer.status_code == 403


def test_who_is_not_named_gets_in_only_if_all_others_may(store: SqlStore, tmp_path: Path) -> None:
    api = server(store, tmp_path, users={"ana@lab": {"scopes": ["read"]}})

    refused = ask(api, "/HASTE/jobs/", "Ana@lab")
    assert refused.status_code == 403
    assert "`trusted_proxy:`" in refused.json["detail"]
    assert "may not use this server" in ask(api, "/", "somebody").text


def test_without_a_name_a_token_is_asked_for(api: Api) -> None:
    for user in (None, ""):
        assert ask(api, "/HASTE/jobs/", user).status_code == 401
    own = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(api, "/HASTE/tokens/", None, headers=own).status_code == 200


def test_a_token_counts_more_than_the_name(api: Api) -> None:
    own = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(api, "/HASTE/tokens/", "ana@lab", headers=own).status_code == 200
    wrong = {"Authorization": "Bearer wrong"}
    assert ask(api, "/HASTE/jobs/", "root", headers=wrong).status_code == 401
    of_the_proxy = {"Authorization": "Basic cm9vdDpyb290"}
    assert ask(api, "/HASTE/jobs/", "root", headers=of_the_proxy).status_code == 200


def test_pages_are_used_without_logging_in(api: Api) -> None:
    api.client.environ_base |= {"REMOTE_ADDR": PROXY, "HTTP_X_REMOTE_USER": "ana@lab"}
    api.client.post("/HASTE/stream/", json=NEW)
    job = api.submit(stream_id="plate7")

    page = look(api, f"/job/{job['job_id']}")

    assert "Log out" not in page
    without = api.client.post(f"/job/{job['job_id']}/cancel")
    cancelled = api.client.post(f"/job/{job['job_id']}/cancel", data={FORM_FIELD: form_token(page)})
    assert (without.status_code, cancelled.status_code) == (403, 303)
    assert api.store.job(job["job_id"]).state == 410


def test_whom_the_proxy_knows_is_asked_for_no_token(api: Api) -> None:
    answer = ask(api, "/login?next=/jobs", "root")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs")
    assert ask(api, "/login?next=/jobs", None).status_code == 200


def test_what_the_proxys_users_keep_opens_nothing_without_it(api: Api) -> None:
    first = ask(api, "/", "root")
    assert first.status_code == 200
    assert "haste_page" in first.headers["Set-Cookie"]

    form = {FORM_HEADER: form_token(ask(api, "/jobs/new", "root").text)}
    for path in ("/HASTE/jobs/", "/HASTE/tokens/"):
        assert ask(api, path, None).status_code == 401
        assert ask(api, path, "root", address="127.0.0.1", headers=form).status_code == 401
    assert ask(api, "/", None).headers["Location"] == "/login?next=/"


def test_a_foreign_page_changes_nothing(api: Api) -> None:
    """The browser of who has logged in at the proxy goes there with each page's requests."""
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = ask(api, "/HASTE/stream/", "ana@lab", method="POST", json=NEW, headers=headers)
        assert answer.status_code == 403


def test_the_shipped_proxy_names_only_whom_it_has_asked_for_a_password() -> None:
    text = re.sub(r"#.*", "", NGINX.read_text(encoding="utf-8"))
    handing_on = [block for block in re.findall(r"location [^{]*\{([^}]*)\}", text) if "proxy_pass" in block]

    assert handing_on
    for block in handing_on:
        assert re.search(r"auth_basic\s+\$haste_login;", block)
        assert "auth_basic_user_file" in block
        assert "satisfy" not in block
        sent = dict(re.findall(r"proxy_set_header\s+(\S+)\s+(\S+);", block))
        assert sent == {HEADER: "$remote_user", "Host": "$http_host", "X-Forwarded-Proto": "$scheme"}
    (asked,) = re.findall(r"map \$http_authorization \$haste_login \{([^}]*)\}", text)
    # A name is in a header that begins with "Basic": those that need no login can have none.
    assert [line.split() for line in asked.split(";")[:-1]] == [
        ['"~*^Bearer', '"', "off"],
        ["default", '"HASTE"'],
    ]


def test_it_needs_a_token_for_all_others(store: SqlStore, tmp_path: Path) -> None:
    proxy = TrustedProxy.model_validate({"user_header": HEADER, "users": USERS})
    with pytest.raises(ValueError, match="without a token"):
        Api(store, tmp_path, trusted_proxy=proxy)
