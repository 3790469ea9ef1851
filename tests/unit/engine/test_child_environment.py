"""What a server's children see of its environment."""

import pytest

from haste_server.processes.environment import environment_of_workers, environment_without_secrets


def test_keys_to_buckets_are_for_workers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HASTE_DATABASE_URL",
        "haste_token",
        "HASTE_ALERT_WEBHOOKS",
        "HASTE_ALERT_EMAIL",
        "HASTE_S3_BUCKETS",
        "AWS_SECRET_ACCESS_KEY",
        "HASTE_SITE",
    ):
        monkeypatch.setenv(name, f"hush-{name}")
    seen = [
        {value for value in environment.values() if value.startswith("hush-")}
        for environment in (environment_of_workers(), environment_without_secrets())
    ]
    assert seen == [
        {"hush-HASTE_S3_BUCKETS", "hush-AWS_SECRET_ACCESS_KEY", "hush-HASTE_SITE"},
        {"hush-HASTE_SITE"},
    ]
