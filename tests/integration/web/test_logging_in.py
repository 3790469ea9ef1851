"""Who may see the pages, and what a page may ask the server for."""

import logging
import re

import pytest

from haste_server.api.failed_logins import MOST, WITHIN_S
from haste_server.api.sessions import FORM_FIELD, FORM_HEADER, SESSION_S
from tests.integration.api.conftest import Api
from tests.integration.web.conftest import TOKEN, form_token, log_in, look

PAGES = ["/", "/stream/plate7", "/job/1"]
EVIL = "http://evil.example"


def cookie_of(answer: object) -> str:
    header = answer.headers["Set-Cookie"]  # type: ignore[attr-defined]
    return str(header)


@pytest.mark.parametrize("path", PAGES)
def test_who_has_not_logged_in_is_sent_to_the_form(guarded: Api, path: str) -> None:
    answer = guarded.client.get(path)

    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/login?next=")
    assert "Log in" in look(guarded, answer.headers["Location"])


def test_the_printed_address_logs_in_and_loses_its_token(guarded: Api) -> None:
    answer = guarded.client.get("/", query_string={"token": TOKEN, "cursor": "a b"})

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/?cursor=a+b"
    assert answer.headers["Cache-Control"] == "no-store"
    cookie = cookie_of(answer)
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert "There is no stream yet" in look(guarded, "/")


def test_the_form_leads_to_the_page_that_was_wanted(guarded: Api) -> None:
    measure_with_token(guarded)

    answer = guarded.client.post("/login", data={"token": f" {TOKEN} ", "next": "/stream/plate7?show=best"})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/stream/plate7?show=best")
    assert "plate7" in look(guarded, "/stream/plate7?show=best")


@pytest.mark.parametrize(
    "elsewhere",
    [
        *(
            "http://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "javascript:x",
            "",
        ),
        *("/\n//evil.example", "/\n/\\evil.example", "/\t//evil.example"),
    ],
)
def test_the_form_leads_to_no_other_server(guarded: Api, elsewhere: str) -> None:
    answer = guarded.client.post("/login", data={"token": TOKEN, "next": elsewhere})

    assert answer.headers["Location"] == "/"


def test_a_token_in_an_address_with_odd_characters_leads_to_the_page_of_that_name(guarded: Api) -> None:
    answer = guarded.client.get(f"/stream/a%0Ab%3Fc?token={TOKEN.replace(' ', '+')}")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/stream/a%0Ab%3Fc")


def test_over_https_the_cookie_is_for_https_only(guarded: Api) -> None:
    plain = guarded.client.post("/login", data={"token": TOKEN})
    direct = guarded.client.post("/login", data={"token": TOKEN}, base_url="https://localhost")
    proxied = guarded.client.post("/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})

    assert "Secure" not in cookie_of(plain).split("; ")
    assert "Secure" in cookie_of(direct).split("; ")
    assert "Secure" in cookie_of(proxied).split("; ")


def test_a_wrong_token_is_refused_and_stands_nowhere(guarded: Api, caplog: pytest.LogCaptureFixture) -> None:
    wrong = "a-wrong-token-with-more-letters"
    with caplog.at_level(logging.DEBUG):
        by_form = guarded.client.post("/login", data={"token": wrong})
        by_address = guarded.client.get("/", query_string={"token": wrong})
        log_in(guarded)

    for answer in (by_form, by_address):
        assert answer.status_code == 403
        assert "no token of this server" in answer.text
        assert "Set-Cookie" not in answer.headers
        assert wrong not in answer.text
    said = " ".join(str(record.__dict__) for record in caplog.records)
    assert "login_failed" in said
    assert TOKEN not in said
    assert wrong not in said


def test_after_too_many_wrong_tokens_even_the_right_one_has_to_wait(guarded: Api) -> None:
    for number in range(MOST):
        assert guarded.client.post("/login", data={"token": f"no {number}"}).status_code == 403

    refused = guarded.client.post("/login", data={"token": TOKEN})
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "60"
    elsewhere = guarded.client.post(
        "/login", data={"token": TOKEN}, environ_base={"REMOTE_ADDR": "192.0.2.7"}
    )
    assert elsewhere.status_code == 303

    guarded.now += WITHIN_S
    log_in(guarded)


def test_addresses_of_one_ipv6_site_count_as_one(guarded: Api) -> None:
    for number in range(MOST):
        sender = {"REMOTE_ADDR": f"2001:db8::{number + 1:x}"}
        guarded.client.post("/login", data={"token": "no"}, environ_base=sender)

    answer = guarded.client.post(
        "/login", data={"token": TOKEN}, environ_base={"REMOTE_ADDR": "2001:db8::ff"}
    )
    assert answer.status_code == 429


def test_who_is_logged_in_need_not_log_in_again(guarded: Api) -> None:
    assert 'href="/stream/plate7"' in look(guarded, "/login?next=/stream/plate7")  # by a link of another site
    log_in(guarded)

    assert guarded.client.get("/login?next=/stream/plate7").headers["Location"] == "/stream/plate7"


def test_a_session_ends(guarded: Api) -> None:
    log_in(guarded)
    guarded.now += SESSION_S - 1
    assert guarded.client.get("/").status_code == 200
    assert guarded.client.get("/HASTE/stream/").status_code == 200
    guarded.now += 2
    assert guarded.client.get("/").status_code == 303
    assert guarded.client.get("/HASTE/stream/").status_code == 401


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        ".",
        "..",
        "9999999999.abc.def",
        f"9999999999.abc.{'0' * 64}",
        f"9999999999.0.abc.{'0' * 64}",
        "é.ü.ß",
        "9" * 3000,
        TOKEN,
    ],
)
def test_a_forged_session_opens_nothing(guarded: Api, forged: str) -> None:
    guarded.client.set_cookie("haste_page_default", forged)

    assert guarded.client.get("/").status_code == 303
    assert guarded.client.get("/HASTE/stream/").status_code == 401


def test_a_session_of_another_token_or_with_another_end_opens_nothing(guarded: Api) -> None:
    cookie = cookie_of(log_in(guarded)).split(";")[0]
    name, _, value = cookie.partition("=")
    ends_at, _, nonce, signature = value.split(".")

    guarded.client.set_cookie(name, f"{int(ends_at) + 1}.0.{nonce}.{signature}")
    assert guarded.client.get("/").status_code == 303

    other = Api(guarded.store, guarded.landing_folder, token="another token of some length")
    other.client.set_cookie(name, value)
    assert other.client.get("/").status_code == 303

    same = Api(guarded.store, guarded.landing_folder, token=TOKEN)  # another web process, or after a restart
    same.client.set_cookie(name, value)
    assert same.client.get("/").status_code == 200


def test_who_logs_out_has_to_log_in_again(guarded: Api) -> None:
    log_in(guarded)
    token = form_token(look(guarded, "/"))

    answer = guarded.client.post("/logout", data={FORM_FIELD: token})

    assert answer.status_code == 303
    assert guarded.client.get("/").status_code == 303


def test_servers_on_one_machine_do_not_take_each_others_cookies(guarded: Api) -> None:
    answer = guarded.client.post("/login", data={"token": TOKEN}, base_url="http://localhost:5511")

    assert cookie_of(answer).startswith("haste_page_5511=")


def test_a_pages_script_may_ask_the_api_and_change_things_with_its_token_only(guarded: Api) -> None:
    log_in(guarded)
    (job_id,) = measure_with_token(guarded)
    cancel = f"/HASTE/job/{job_id}/cancel"

    assert guarded.client.get(f"/HASTE/job/{job_id}").json["state"] == 201
    assert guarded.client.post(cancel).status_code == 403
    assert guarded.client.post(cancel, headers={FORM_HEADER: "0" * 64}).status_code == 403
    token = form_token(look(guarded, "/"))
    foreign = {FORM_HEADER: token, "Origin": EVIL}
    assert guarded.client.post(cancel, headers=foreign).status_code == 403
    assert guarded.client.get(f"/HASTE/job/{job_id}").json["state"] == 201

    assert guarded.client.post(cancel, headers={FORM_HEADER: token}).json["state"] == 410


def test_a_wrong_bearer_is_not_saved_by_a_cookie(guarded: Api) -> None:
    log_in(guarded)

    assert guarded.client.get("/HASTE/stream/", headers={"Authorization": "Bearer no"}).status_code == 401


def test_the_original_agents_call_is_not_opened_by_a_cookie(guarded: Api) -> None:
    log_in(guarded)

    assert (
        guarded.client.post("/stream/plate7", data=b"x", headers={"X-HASTE-Tag": "lab1"}).status_code == 401
    )


@pytest.mark.parametrize("shown", [None, "0" * 64, "no"])
def test_a_form_without_the_pages_token_changes_nothing(guarded: Api, shown: str | None) -> None:
    log_in(guarded)
    data = {} if shown is None else {FORM_FIELD: shown}

    answer = guarded.client.post("/logout", data=data)

    assert answer.status_code == 403
    assert "reload it" in answer.text
    assert guarded.client.get("/").status_code == 200


def test_without_a_token_pages_are_open_and_forms_guarded(api: Api) -> None:
    page = look(api, "/")
    assert "Log out" not in page
    assert api.client.get("/login").headers["Location"] == "/"
    assert api.client.get("/?token=anything").headers["Location"] == "/"
    assert api.client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert api.client.post("/logout").status_code == 403


def test_pages_may_load_nothing_from_elsewhere_and_be_framed_nowhere(guarded: Api) -> None:
    for path in ("/login", "/page/page.css", "/page/page.js", "/"):
        with guarded.client.get(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"


def test_the_token_stands_on_no_page(guarded: Api) -> None:
    log_in(guarded)
    (job_id,) = measure_with_token(guarded)
    for path in ("/", "/stream/plate7", f"/job/{job_id}", "/stream/none", "/login"):
        answer = guarded.client.get(path)
        assert TOKEN not in answer.text
        assert not re.search(TOKEN, str(answer.headers))


def measure_with_token(api: Api) -> list[int]:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    spec = {
        "source_url": "root://nas/A01.tif",
        "source_id": "A01",
        "stream_id": "plate7",
        "tasks": "focus-score",
    }
    return [api.client.post("/HASTE/job/", json=spec, headers=bearer).json["job_id"]]
