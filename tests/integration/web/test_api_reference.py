"""The page that describes the API, and where what it loads comes from."""

import re

from tests.integration.api.conftest import Api
from tests.integration.web.conftest import log_in, look


def test_the_page_and_all_that_it_loads_come_from_this_server(api: Api) -> None:
    page = look(api, "/api")

    loaded = re.findall(r'(?:src|href|data-document)="([^"]+)"', page)
    assert len(loaded) == 8
    for address in loaded:
        assert address.startswith("/")
        assert not address.startswith("//")
        with api.client.get(address) as answer:
            assert answer.status_code == 200, address
            if answer.mimetype == "text/css" and "swagger" in address:
                assert set(re.findall(r"url\(['\"]?(.{0,5})", answer.text)) == {"data:"}


def test_browsers_let_the_page_load_nothing_from_elsewhere(api: Api) -> None:
    policy = api.client.get("/api").headers["Content-Security-Policy"]
    usual = api.client.get("/").headers["Content-Security-Policy"]

    assert policy == f"{usual}; img-src 'self' data:"
    assert "unsafe" not in policy


def test_it_is_a_page_for_those_who_may_look(guarded: Api) -> None:
    assert guarded.client.get("/api").headers["Location"] == "/login?next=/api"

    log_in(guarded)

    assert 'data-form=""' not in look(guarded, "/api")
    assert 'href="/api"' in look(guarded, "/")


def test_no_other_file_is_sent(api: Api) -> None:
    for name in ("none.js", "../__init__.py", "..%2f__init__.py", "%2fetc%2fpasswd"):
        assert api.client.get(f"/page/swagger/{name}").status_code == 404
