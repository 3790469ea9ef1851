import json

from haste_apps.summary import failure_lines, summary_json
from haste_client import Result
from haste_client.totals import tiers_of

RESULTS = [
    Result("a.tif", 1, state="done", code=200, plls=-1.0, interestingness=0.9, tier="tierA", size_bytes=10),
    Result("b.tif", 2, state="done", code=200, plls=-1.1, interestingness=0.8, tier="tierA", size_bytes=20),
    Result("c.tif", 3, state="done", code=200, plls=-1.9, interestingness=0.1, tier="tierD", size_bytes=5),
    Result("d.tif", 4, state="done", code=200, plls=0.9, tier="empty", size_bytes=7),
    Result("e.tif", 5, state="failed", code=502, message="not a readable image"),
    Result("f.tif", 6, state="open", code=201),
]


def test_tiers_are_summed_up_the_best_first_and_the_undefined_last() -> None:
    tiers = tiers_of(RESULTS)
    assert [tier.tier for tier in tiers] == ["tierA", "tierD", "empty"]
    assert (tiers[0].count, tiers[0].size_bytes) == (2, 30)
    assert abs((tiers[0].mean_score or 0) - 0.85) < 1e-12
    assert tiers[2].mean_score is None


def test_the_summary_counts_every_image_once() -> None:
    summary = summary_json(RESULTS, refused=2)
    assert json.loads(json.dumps(summary)) == summary
    assert {name: summary[name] for name in ("jobs", "done", "failed")} == {"jobs": 8, "done": 4, "failed": 3}
    assert summary["tiers"] == {"empty": 1, "tierA": 2, "tierD": 1}
    assert summary["images"][2] == {
        "source_id": "c.tif",
        "plls": -1.9,
        "interestingness": 0.1,
        "tier": "tierD",
        "state": "done",
    }
    assert [image["state"] for image in summary["images"]] == ["done"] * 4 + ["failed", "open"]


def test_nothing_sums_up_to_nothing() -> None:
    assert summary_json([]) == {"jobs": 0, "done": 0, "failed": 0, "tiers": {}, "images": []}


def test_failures_of_one_cause_take_one_line() -> None:
    outside = [
        Result(name, number, state="failed", code=403, message=f"file:///data/{name} is outside the folders")
        for number, name in enumerate(("a.tif", "b.tif", "c.tif"))
    ]
    assert failure_lines([*outside, *RESULTS]) == [
        "a.tif and 2 more: file:///data/a.tif is outside the folders",
        "e.tif: not a readable image",
    ]
