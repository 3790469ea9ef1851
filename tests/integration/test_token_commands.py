"""`haste token`, on a server in this process."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from haste_apps.cli import app
from haste_apps.giving_tokens import time_of
from haste_client import AccessDeniedError, ConflictError, HasteClient, NotFoundError
from haste_core.errors import InvalidError
from tests.integration.api.conftest import spec
from tests.integration.served_api import served_api

TOKEN = "a token of some length"


@pytest.fixture
def url(tmp_path: Path, empty_database: Path) -> Iterator[str]:
    """Return the address of a server with a token."""
    with served_api(tmp_path, empty_database, token=TOKEN) as (_, url):
        yield url


def haste(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _settings(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASTE_SERVER_URL", url)
    monkeypatch.setenv("HASTE_TOKEN", TOKEN)


def test_a_token_is_made_shown_once_listed_and_revoked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--scope", "submit", "--project", "lab1", "--expires", "2999-01-31", "--upload-quota", "200G")
    made = haste("token", "create", "lab1-pc", *options)
    assert made.exit_code == 0, made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("haste_")
    assert "told this once" in made.stderr
    assert secret not in made.stderr

    listed = haste("token", "list", "--json")
    shown = json.loads(listed.stdout)
    assert (shown["name"], shown["scopes"], shown["projects"]) == ("lab1-pc", ["submit"], ["lab1"])
    assert (shown["upload_quota_bytes"], shown["upload_held_bytes"]) == (200 * 10**9, 0)
    assert "0 B of 200.0 GB" in haste("token", "list").stdout
    assert secret not in listed.output
    assert "lab1-pc" in haste("token", "list").stdout

    with HasteClient(url, secret, retry_for_s=1.0) as client:
        client.create_stream("plate7")
        assert client.stream("plate7").project == "lab1"
        with pytest.raises(AccessDeniedError, match="needs the scope admin"):
            list(client.tokens())
    monkeypatch.setenv("HASTE_TOKEN", secret)
    refused = haste("token", "revoke", "lab1-pc")
    assert refused.exit_code == 2
    assert "needs the scope admin" in refused.stderr
    monkeypatch.setenv("HASTE_TOKEN", TOKEN)
    assert haste("token", "revoke", "lab1-pc").exit_code == 0
    assert "revoked" in haste("token", "list").stdout


def test_a_token_for_a_program_comes_as_json(url: str) -> None:
    made = json.loads(haste("token", "create", "a", "--scope", "read", "--scope", "work", "--json").stdout)

    assert (made["scopes"], made["projects"], made["expires_at"]) == (["read", "work"], None, None)
    with HasteClient(url, made["secret"], retry_for_s=1.0) as client:
        assert list(client.streams()) == []
        with pytest.raises(AccessDeniedError):
            client.submit_job(spec())


def test_what_cannot_be_done_is_said(url: str) -> None:
    with HasteClient(url, retry_for_s=1.0) as client:
        client.create_token("a", ["read"])
        with pytest.raises(ConflictError, match="choose another name"):
            client.create_token("a", ["read"])
        with pytest.raises(NotFoundError, match="no token 'b'"):
            client.revoke_token("b")
        with pytest.raises(InvalidError, match="name"):
            client.create_token("a b", ["read"])
    assert haste("token", "create", "b").exit_code == 2
    assert haste("token", "create", "b", "--scope", "write").exit_code == 2
    assert haste("token", "create", "b", "--scope", "read", "--expires", "soon").exit_code == 2


def test_the_log_of_changes_is_shown(url: str) -> None:
    haste("token", "create", "a", "--scope", "read")
    haste("token", "create", "b", "--scope", "read")
    haste("token", "revoke", "a")

    lines = [json.loads(line) for line in haste("audit", "--json", "--limit", "2").stdout.splitlines()]
    assert [(line["who"], line["action"], line["target"]) for line in lines] == [
        ("(settings)", "tokens.revoke", "/HASTE/token/a/revoke"),
        ("(settings)", "tokens.create", "/HASTE/tokens/"),
    ]
    assert "tokens.revoke" in haste("audit").stdout
    assert haste("audit", "--who", "a", "--json").stdout == ""


def test_ends_are_read_as_spans_and_dates() -> None:
    assert time_of("12h", now=100.0) == 100.0 + 12 * 3600
    assert time_of(" 90d", now=0.0) == 90 * 86_400
    assert time_of("2027-01-31T12:00:00+00:00", now=0.0) == 1_801_396_800
    for text in ("", "soon", "90", "-1d", "1w", "2027-02-30"):
        with pytest.raises(InvalidError, match="is no time"):
            time_of(text, now=0.0)
