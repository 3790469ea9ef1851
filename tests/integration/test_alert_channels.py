"""Webhooks and e-mail with real servers: what arrives, and what is told where it does not; no secrets."""

import socket
from collections.abc import Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from haste_core.alert_stores import AlertRecord
from haste_core.errors import InvalidError, TransientError
from haste_server.channels import mail, webhook
from haste_server.channels.mail import Mail
from haste_server.channels.settings import EmailSettings, WebhookSettings
from haste_server.channels.webhook import Webhook
from haste_server.configuration import explain, load_settings
from tests.services.process import free_port
from tests.services.smtp import MailServer
from tests.services.tls import certified
from tests.services.webhooks import HookServer

ALERT = AlertRecord(
    alert_id=7,
    event_id="0123456789abcdef0123456789abcdef",
    stream_id="plate7",
    rule="low-scores",
    raised_at=1_700_000_000.0,
    message="12 images in a row scored below 0.25, from Brücke_1.tif to B_12.tif. Look at focus",
    details={"images": 12, "below": 0.25},
)
SENDER, RECIPIENTS = "haste@lab.example.org", ["anna@lab.example.org", "bo@lab.example.org"]


def hook(url: str, **headers: str) -> Webhook:
    return Webhook(WebhookSettings.model_validate({"url": url, "headers": headers}))


def mailer(port: int, **more: Any) -> Mail:
    given = {"host": "127.0.0.1", "port": port, "security": "none", "sender": SENDER} | more
    return Mail(EmailSettings.model_validate({"recipients": RECIPIENTS} | given))


def trouble_of(channel: Webhook | Mail) -> str:
    with pytest.raises(TransientError) as caught:
        channel.send(ALERT)
    return str(caught.value)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port where somebody takes connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield int(listening.getsockname()[1])


def test_a_webhook_gets_the_alert_as_json() -> None:
    with HookServer(204) as server:
        assert hook(server.url, Authorization="Bearer hush").send(ALERT) == ""
    [got] = server.received
    assert got.path == "/hooks/open-sesame"
    assert got.headers["Authorization"] == "Bearer hush"
    assert got.headers["Webhook-Id"] == ALERT.event_id
    assert got.headers["Content-Type"] == "application/json"
    assert got.body == {
        "id": ALERT.event_id,
        "alert_id": 7,
        "stream_id": "plate7",
        "rule": "low-scores",
        "raised_at": 1_700_000_000.0,
        "message": ALERT.message,
        "details": {"images": 12, "below": 0.25},
        "text": f"plate7: {ALERT.message}",
    }


@pytest.mark.parametrize("status", [302, 400, 500, 503])
def test_another_answer_is_no_receipt(status: int) -> None:
    with HookServer(status) as server:
        trouble = trouble_of(hook(server.url, Authorization="Bearer hush"))
    assert f"127.0.0.1 answered {status}" in trouble
    assert len(server.received) == 1, "redirections are not followed"
    assert "sesame" not in trouble
    assert "hush" not in trouble


def test_a_webhook_that_is_away_or_hangs_is_told_without_its_address(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "ANSWER_TIMEOUT_S", 0.2)
    for port, reason in (
        (free_port(), "no connection, or it broke"),
        (silent_port, "no answer within 0.2 s"),
    ):
        assert trouble_of(hook(f"http://127.0.0.1:{port}/sesame")) == f"127.0.0.1: {reason}"


def test_mail_goes_to_all_recipients() -> None:
    with MailServer(user="haste", password="hush") as server:
        assert mailer(server.port, user="haste", password="hush").send(ALERT) == ""
    [message] = server.received
    assert message["Subject"] == "[HASTE] plate7: low-scores"
    assert (message["From"], message["To"]) == (SENDER, ", ".join(RECIPIENTS))
    assert message["Message-ID"] == f"<{ALERT.event_id}@lab.example.org>"
    assert parsedate_to_datetime(message["Date"]).timestamp() == ALERT.raised_at
    text = message.get_content()
    assert text.splitlines()[0] == f"{ALERT.message}."
    assert "2023-11-14 22:13:20 UTC" in text
    assert "haste alerts plate7" in text


def test_mail_that_some_do_not_get_is_sent_and_told() -> None:
    with MailServer(refused=frozenset(RECIPIENTS[:1])) as server:
        assert mailer(server.port).send(ALERT) == "refused for anna@lab.example.org"
    assert len(server.received) == 1


def test_why_mail_is_not_taken_is_told(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT_S", 0.2)
    nobody = free_port()
    assert "no connection" in trouble_of(mailer(nobody))
    assert f"127.0.0.1:{silent_port}: no answer within 0.2 s" in trouble_of(mailer(silent_port))
    with MailServer(user="haste", password="right", refused=frozenset(RECIPIENTS)) as server:
        wrong = trouble_of(mailer(server.port, user="haste", password="wr0ng"))
        assert "does not accept user and password" in wrong
        assert "wr0ng" not in wrong
        assert "530" in trouble_of(mailer(server.port))
        refused = trouble_of(mailer(server.port, user="haste", password="right"))
        assert "550 nobody here by that name" in refused
        assert "STARTTLS" in trouble_of(mailer(server.port, security="starttls"))
        assert "security and port" in trouble_of(mailer(server.port, security="tls"))
    assert server.received == []


def test_mail_is_encrypted_for_a_server_whose_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, tls = certified(tmp_path)
    with MailServer(tls=tls) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in trouble_of(mailer(server.port, security="starttls"))
        assert "530" in trouble_of(mailer(server.port, security="none"))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        mailer(server.port, security="starttls").send(ALERT)
    assert len(server.received) == 1


def test_settings_name_channels_and_show_no_secret() -> None:
    webhooks = [{"url": "https://chat.example.org/sesame", "headers": {"X-Key": "hush"}}]
    email = {"host": "mail.example.org", "user": "u", "password": "hush", "sender": SENDER}
    loaded = load_settings(alert_webhooks=webhooks, alert_email={**email, "recipients": RECIPIENTS})
    for shown in (explain(loaded), repr(loaded)):
        assert "mail.example.org" in shown
        assert "sesame" not in shown
        assert "hush" not in shown
    first, second = (hook(f"https://chat.example.org/{path}").name for path in ("a", "b"))
    assert first != second
    assert first.startswith("webhook chat.example.org ")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("alert_webhooks", [{"url": "ftp://x/sesame"}]),
        ("alert_webhooks", [{"url": "http://me:sesame@x/"}]),
        ("alert_webhooks", [{"url": "http://x/", "headers": {"A B": "sesame"}}]),
        ("alert_webhooks", [{"url": "http://x/", "headers": {"A": "sesame\n"}}]),
        ("alert_email", {"host": "h", "sender": "me", "recipients": RECIPIENTS}),
        ("alert_email", {"host": "h", "sender": SENDER, "recipients": []}),
        ("alert_email", {"host": "h", "sender": SENDER, "recipients": ["a@b\nBcc: c@d"]}),
        ("alert_email", {"host": "h", "sender": SENDER, "recipients": RECIPIENTS, "user": "u"}),
        (
            "alert_email",
            {"host": "h", "sender": SENDER, "recipients": RECIPIENTS, "security": "none"}
            | {"user": "u", "password": "sesame"},
        ),
    ],
)
def test_odd_settings_are_refused_without_telling_secrets(setting: str, value: object) -> None:
    with pytest.raises(InvalidError) as caught:
        load_settings(**{setting: value})
    assert all(problem.where.startswith(setting) for problem in caught.value.problems)
    assert "sesame" not in str(caught.value)
