"""Which tiers there are, and what workers say of them."""

from haste_core.messages import Presence
from tests.integration.api.conftest import NOW, Api


def test_tiers_tell_which_workers_can_write_to_them(api: Api) -> None:
    told = {"w1": {"tierA": "", "archive": "it is full"}, "w2": {"tierA": "no share"}, "gone": {"tierA": ""}}
    for name, tiers in told.items():
        presence = Presence(
            worker_id=name,
            host="pc",
            pid=7,
            keys=("tier",),
            site="lab1",
            slots=2,
            tiers=tiers,
            sent_at=NOW,
        )
        api.store.save_presence([presence], now=NOW - 1000 if name == "gone" else NOW)

    tiers = {tier["tier"]: tier for tier in api.client.get("/HASTE/tiers/").json["tiers"]}

    assert {"tierA", "tierD", "archive"} <= set(tiers)
    assert [(one["worker_id"], one["is_writable"], one["trouble"]) for one in tiers["tierA"]["workers"]] == [
        ("w1", True, ""),
        ("w2", False, "no share"),
    ]
    assert [(one["is_writable"], one["trouble"]) for one in tiers["archive"]["workers"]] == [
        (False, "it is full")
    ]
    assert (tiers["archive"]["is_trash"], tiers["tierA"]["is_trash"]) == (True, False)
    assert tiers["tierD"]["workers"] == []
