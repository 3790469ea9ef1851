"""Two servers on one MariaDB and one RabbitMQ judge a stream together, and tell each alert once."""

import json
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.e2e.server_process import PROC, ServerProcess, running_server
from tests.e2e.test_alerts import PIPELINE
from tests.services.webhooks import HookServer
from tests.tables import make_tables
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="the server's fixture looks into /proc")

ANSWER_S = 0.1  # one alone would be busy for longer than the other's pause between two looks
LOOKS_S = 2.5  # both have looked again for what is to be told
WELLS = [f"W{number:02d}" for number in range(30)]
RULE = {"rule": "well-below", "percent": 50, "below": 0.5, "min_images": 2}


def submit_well(servers: list[ServerProcess], image: Path, well: str) -> None:
    """Submit a bad image of a well to each server."""
    for place, server in enumerate(servers):
        more = {"metadata": {"score": 0.1, "well": well}, "response": {"seen": {}}, "stream_id": "plate7"}
        server.submit(image, "tier", source_id=f"{well}_{place}", **more)


@pytest.mark.slow
def test_an_alert_is_told_once_whoever_raises_and_sends_it(
    tmp_path: Path, mariadb_url: str, amqp_url: str
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/watched.yaml").write_text(yaml.safe_dump(PIPELINE | {"alerts": [RULE]}))
    make_tables(mariadb_url)
    with HookServer(200, pause_s=ANSWER_S) as hook, ExitStack() as cleanup:
        environment = {
            "HASTE_DATABASE_URL": mariadb_url,
            "HASTE_BROKER_URL": amqp_url,
            "HASTE_ALERT_WEBHOOKS": json.dumps([{"url": hook.url}]),
        }
        options = ("--pipelines-dir", str(tmp_path / "pipelines"))
        servers = [
            cleanup.enter_context(running_server(tmp_path / name, *options, environment=environment))
            for name in ("a", "b")
        ]
        for server in servers:
            server.wait_until_ready()
        servers[0].call("POST", "/HASTE/stream/", json={"stream_id": "plate7", "pipeline": "watched"})
        for well in WELLS:
            submit_well(servers, tmp_path / "x.tif", well)
        wait_for(lambda: len(hook.received) >= len(WELLS))
        time.sleep(LOOKS_S)
        listed = servers[1].call("GET", "/HASTE/stream/plate7/alerts").json()["alerts"]
    told = Counter(one.body["details"]["group"] for one in hook.received)
    assert told == dict.fromkeys(WELLS, 1)
    assert all("action=alert_delivered" in server.log.read_text() for server in servers), "both have told"
    assert Counter(alert["details"]["group"] for alert in listed) == told
    assert all(alert["deliveries"][0]["delivered_at"] for alert in listed)
