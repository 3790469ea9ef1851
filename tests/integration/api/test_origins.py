"""What a web page in the user's browser may not do, whoever wrote it and however its site is called."""

from pathlib import Path

import pytest

from haste_server.store.sql import SqlStore
from tests.integration.api.conftest import Api

TOKEN = "a token of some length"
EVIL = "http://evil.example"
FOREIGN_PAGES = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": "http://localhost:8888"},
    {"Origin": "http://localhost.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8888"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "anything new"},
]
OWN_PAGES = [
    {"Origin": "http://localhost"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://haste.lab.example"},  # a proxy changed the Host
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN_PAGES)
def test_a_foreign_page_changes_nothing(api: Api, headers: dict[str, str]) -> None:
    job_id = api.submit()["job_id"]
    changes = [
        ("DELETE", f"job/{job_id}"),
        ("POST", f"job/{job_id}/delete"),
        ("POST", f"job/{job_id}/cancel"),
        ("PATCH", "priority"),
        ("POST", "files/"),
        ("PATCH", "files/0123456789abcdef0123456789abcdef"),
    ]

    for method, path in changes:
        answer = api.client.open(f"/HASTE/{path}", method=method, headers=headers, content_type="text/plain")
        assert answer.status_code == 403
        assert answer.content_type == "application/problem+json"
        assert "haste or another program" in answer.json["detail"]

    assert api.client.get(f"/HASTE/job/{job_id}", headers=headers).json["state"] == 201


@pytest.mark.parametrize("headers", [*OWN_PAGES, {}])
def test_own_pages_and_programs_may_change_things(api: Api, headers: dict[str, str]) -> None:
    job_id = api.submit()["job_id"]

    assert api.client.post(f"/HASTE/job/{job_id}/cancel", headers=headers).json["state"] == 410


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:5510",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "192.168.1.7",
        "0.0.0.0:5510",
        "[2001:db8::1]:5510",
        "127.0.0.1@evil.example",
        "[::1",
        "",
    ],
)
def test_without_a_token_nothing_is_told_under_a_foreign_name(api: Api, host: str) -> None:
    for path in ("/HASTE/jobs/", "/HASTE/nothing", "/healthz", "/readyz", "/openapi/openapi.json"):
        answer = api.client.get(path, headers={"Host": host, "Sec-Fetch-Site": "same-origin"})

        assert answer.status_code == 403
        assert answer.content_type == "application/problem+json"
        assert "use 127.0.0.1 or localhost" in answer.json["detail"]
        assert "--token-file" in answer.json["detail"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5510", "127.8.9.10", "localhost:1", "LOCALHOST", "haste.localhost:5510", "[::1]:5510"]
)
def test_this_machines_names_are_its_own(api: Api, host: str) -> None:
    assert api.client.get("/HASTE/jobs/", headers={"Host": host}).status_code == 200


def test_with_a_token_every_name_leads_here_but_foreign_pages_change_nothing(
    store: SqlStore, tmp_path: Path
) -> None:
    guarded = Api(store, tmp_path / "landing", token=TOKEN).client
    lab = {"Host": "haste.lab.example", "Authorization": f"Bearer {TOKEN}"}
    stream = {"stream_id": "plate7", "pipeline": "focus-tier", "mode": "observe"}

    def create(origin: str) -> int:
        return guarded.post("/HASTE/stream/", json=stream, headers={**lab, "Origin": origin}).status_code

    assert guarded.get("/HASTE/stream/", headers=lab).json["streams"] == []
    assert create(EVIL) == 403
    assert create("https://haste.lab.example") == 201
