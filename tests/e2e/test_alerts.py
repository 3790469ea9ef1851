"""An alert from a pipeline file to its receiver, though the server is killed on the way."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.haste_command import haste
from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.services.webhooks import HookServer
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="kills all processes of the server")

PIPELINE = {
    "name": "watched",
    "description": "Tell of low scores",
    "tasks": "tier",
    "interestingness": {"function": "precomputed", "features_from": "seen", "parameters": {"field": "score"}},
    "policy": {"intervals": [{"lo": 0, "hi": 1, "tier": "tierA"}], "undefined": "tierA"},
    "alerts": [{"rule": "low-scores", "consecutive": 2, "below": 0.5}, {"rule": "finished", "settle_s": 0.5}],
}


def refused_alerts(server: ServerProcess) -> list[dict[str, Any]] | None:
    """Return the stream's two alerts once the webhook has refused both."""
    alerts = server.call("GET", "/HASTE/stream/plate7/alerts").json()["alerts"]
    refused = [alert for alert in alerts for delivery in alert["deliveries"] if delivery["failures"]]
    return alerts if len(refused) == 2 else None


def test_an_alert_outlives_the_server_that_raised_it(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/watched.yaml").write_text(yaml.safe_dump(PIPELINE))
    image = tmp_path / "A01.tif"
    image.touch()
    options = ["--pipelines-dir", str(tmp_path / "pipelines"), "--workers", "1"]
    options += ["--root", f"images={tmp_path}"]
    with HookServer(500) as broken:
        secret = {"HASTE_ALERT_WEBHOOKS": json.dumps([{"url": broken.url}])}
        with running_server(tmp_path / "data", *options, environment=secret) as first:
            first.wait_until_ready()
            first.call("POST", "/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "watched"})
            for score in (0.9, 0.1, 0.2):
                more = {"metadata": {"score": score}, "response": {"seen": {}}}
                first.submit(image, "tier", source_id=f"{score}", stream_id="plate7", **more)
            shown = wait_for(lambda: refused_alerts(first))
            assert len(broken.received) >= 2
            assert first.call("GET", "/readyz").status_code == 200, "a receiver's trouble is not the server's"
            first.kill_all()
        assert "open-sesame" not in first.log.read_text()
    with (
        HookServer(200, port=broken.port) as mended,
        running_server(tmp_path / "data", *options, environment=secret) as second,
    ):
        wait_for(lambda: len(mended.received) == 2)
        told = haste("alerts", "plate7", "--acknowledge", "1", "--json", url=second.url, roots={})
        listed = haste("alerts", "plate7", "--open", url=second.url, roots={})
        stream = second.call("GET", "/HASTE/stream/plate7").json()

    received = sorted((one.body for one in mended.received), key=lambda one: one["alert_id"])
    assert [one["rule"] for one in received] == ["low-scores", "finished"]
    assert received[0]["message"].startswith("2 images in a row scored below 0.5, from 0.1 to 0.2.")
    assert received[1]["details"] == {"done": 3, "failed": 0, "cancelled": 0}
    assert [one["id"] for one in received] == [alert["event_id"] for alert in shown]
    alerts = [json.loads(line) for line in told.stdout.splitlines()]
    assert [alert["event_id"] for alert in alerts] == [one["id"] for one in received]
    assert [alert["acknowledged_at"] is None for alert in alerts] == [False, True]
    assert stream["open_alerts"] == 1
    assert "The plate may go" in listed.stdout
    assert "2 images in a row" not in listed.stdout
