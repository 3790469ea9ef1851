"""Alerts through the API."""

from haste_core.pipelines import Pipeline
from haste_server.catalogue import load_pipelines
from tests.integration.api.conftest import NOW, Api

RULES = [{"rule": "finished", "settle_s": 10}, {"rule": "silence", "for_s": 600}]


def raise_alerts(api: Api, *, times: int = 1) -> None:
    """Let a stream finish, so often."""
    if not list(api.store.streams(cursor=None, limit=1).items):
        pipeline = Pipeline.parse({**load_pipelines()["focus-tier"].to_json(), "alerts": RULES})
        api.store.create_stream("plate7", pipeline, "observe", now=NOW)
    for number in range(times):
        api.submit(source_id=f"A{number}", stream_id="plate7")
        api.run("focus-score")
        for later in (0, 20):
            api.store.judge("plate7", now=NOW + later, listening_since=0, fills={}, channels=["e-mail"])


def test_alerts_are_listed_counted_and_acknowledged(api: Api) -> None:
    raise_alerts(api, times=3)
    stream = api.client.get("/HASTE/stream/plate7").json
    assert stream["open_alerts"] == 3
    assert stream["pipeline"]["alerts"] == RULES

    first = api.client.get("/HASTE/stream/plate7/alerts?limit=2").json
    rest = api.client.get("/HASTE/stream/plate7/alerts", query_string={"cursor": first["next"]}).json
    alerts = first["alerts"] + rest["alerts"]
    assert rest["next"] is None
    assert [alert["details"] for alert in alerts] == [
        {"done": n, "failed": 0, "cancelled": 0} for n in (1, 2, 3)
    ]
    assert len({alert["event_id"] for alert in alerts}) == 3
    assert alerts[0] | {"event_id": "", "message": ""} == {
        "alert_id": alerts[0]["alert_id"],
        "event_id": "",
        "stream_id": "plate7",
        "rule": "finished",
        "raised_at": NOW + 20,
        "message": "",
        "details": {"done": 1, "failed": 0, "cancelled": 0},
        "acknowledged_at": None,
        "deliveries": [
            {"channel": "e-mail", "delivered_at": None, "due_at": NOW + 20, "failures": 0, "trouble": ""}
        ],
    }

    api.now = NOW + 100
    path = f"/HASTE/stream/plate7/alerts/{alerts[1]['alert_id']}/acknowledge"
    done = api.client.post(path)
    api.now = NOW + 200
    again = api.client.post(path)

    assert (done.status_code, again.status_code) == (200, 200)
    assert done.json == again.json == alerts[1] | {"acknowledged_at": NOW + 100}
    still_open = api.client.get("/HASTE/stream/plate7/alerts?open=true").json["alerts"]
    assert [alert["alert_id"] for alert in still_open] == [alerts[0]["alert_id"], alerts[2]["alert_id"]]
    assert api.client.get("/HASTE/stream/plate7").json["open_alerts"] == 2


def test_what_is_not_there_is_not_found(api: Api) -> None:
    raise_alerts(api)
    for path in ("/HASTE/stream/none/alerts/1/acknowledge", "/HASTE/stream/plate7/alerts/99/acknowledge"):
        assert api.client.post(path).status_code == 404
    assert api.client.get("/HASTE/stream/none/alerts").status_code == 404
    for odd in ("cursor=x", "open=maybe", "limit=0", "more=1"):
        assert api.client.get(f"/HASTE/stream/plate7/alerts?{odd}").status_code == 400
