"""`haste explain` says what is recorded, for each way in which an image can have come to its tier."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from haste_apps.deciding.explaining import explain, sentences
from haste_client.answers import DecisionAnswer, JobAnswer
from haste_core.errors import NotFoundError

LOGISTIC = {"function": "logistic", "features_from": "focus-score"}
LOGISTIC |= {"parameters": {"feature": "plls", "k": 4.5, "x0": -1.4}}
POLICY = {
    "intervals": [{"lo": 0, "hi": 0.5, "tier": "tierD"}, {"lo": 0.5, "hi": 1, "tier": "tierA"}],
    "undefined": "empty",
}
SCORE = 1 / (1 + math.exp(-4.5 * 0.5))


def job(**fields: Any) -> JobAnswer:
    known = {"job_id": 7, "state": 200, "created_at": 0.0, "source_id": "A01.tif", "stream_id": "plate7"}
    return JobAnswer(**{**known, "source_url": "root://n/A01.tif", "site": "default", **fields})


def decision(**fields: Any) -> DecisionAnswer:
    known = {
        "decision_id": 1,
        "job_id": 7,
        "source_id": "A01.tif",
        "made_at": 1_790_000_000.0,
        "score": SCORE,
        "tier": "tierA",
        "reason": "logistic gave it",
        "mode": "observe",
        "software_version": "0.1.0",
        "features": {"plls": -0.9, "empty": False, "sha256": "ab12", "pixels": "original", "width": 512},
        "interestingness": LOGISTIC,
        "policy": POLICY,
    }
    return DecisionAnswer.model_validate(known | fields)


def told(*decisions: DecisionAnswer, **fields: Any) -> str:
    return "\n".join(sentences(job(**fields), decisions))


def test_a_score_is_followed_from_the_feature_to_the_tier() -> None:
    text = told(decision())
    assert "A01.tif of stream plate7 (job 7) belongs in tierA." in text
    assert "Measured by focus-score: plls -0.9, empty no." in text
    assert "SHA-256 ab12" in text
    assert f"score is {SCORE:.4f}, by logistic(feature=plls, k=4.5, x0=-1.4) = 1 / (1 + exp(-4.5 x" in text
    assert "from 0.5 to 1 in tierA" in text
    assert "HASTE 0.1.0" in text


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (
            {"tier": {"tier": "tierA", "moved": True}},
            "copied to tierA and the copy verified; it is at file:///x",
        ),
        ({"tier": {"tier": "tierD", "moved": True}}, "still is in tierD, at file:///x; `haste job 7`"),
        ({}, "Its move to tierA is not done; it still is at file:///x. `haste job 7`"),
        (
            {"tier": {"tier": "tierA", "moved": False}},
            "only observed, so it was left where it is; it is at file:",
        ),
    ],
)
def test_it_is_said_where_a_file_is_that_was_put_somewhere(response: dict[str, Any], said: str) -> None:
    assert said in told(decision(), response=response, place={"url": "file:///x", "site": "default"})


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ({}, "not put to a tier yet; it is at root://n/A01.tif"),
        ({"tier": {"tier": "tierA", "moved": False}}, "only observed, so nothing was copied; it is at root:"),
    ],
)
def test_it_is_said_where_a_file_is_that_was_put_nowhere(response: dict[str, Any], said: str) -> None:
    assert said in told(decision(), response=response, place={"url": "root://n/A01.tif", "site": "default"})


def test_a_deleted_image_is_said_to_be_gone() -> None:
    response = {"tier": {"tier": "bin", "moved": True, "deleted": "file:///bin/x"}}
    deletion = decision(
        decision_id=2, origin="deletion", tier="bin", made_by="eva", reason="to be deleted", supersedes=1
    )
    text = told(decision(tier="bin"), deletion, response=response, deleted_at=1_790_000_000.0)
    assert "A01.tif of stream plate7 (job 7) is gone: it was deleted from bin at 2026-09-2" in text
    assert "It was at file:///bin/x, in a trash that eva had emptied." in text
    assert "to be deleted from the trash by eva" in text
    assert "belongs in" not in text


def test_a_failed_task_says_why() -> None:
    tier = {"task_key": "tier", "task_id": 12, "job_id": 7, "task_state": 503, "ended_at": 1_790_000_000.0}
    tier |= {"task_msg": "tier tierA is full: 3 MB are left, the image has 8 MB"}
    tasks = {
        "taskSequential": [{"Task": {**tier, "task_key": "focus-score", "task_state": 200, "task_msg": ""}}]
    }
    tasks["taskSequential"].append({"Task": tier})
    text = told(decision(mode="enforce"), tasks=tasks, state=503)
    assert "Its task tier (12) failed at 2026-09-2" in text
    assert "(503): tier tierA is full: 3 MB are left, the image has 8 MB." in text
    assert "focus-score (12)" not in text


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (201, "Its task tier (12) is not done yet: the tier is full (attempt 1; tried again in 4 s)."),
        (200, "Its task tier (12) is done, and says: the tier is full (attempt 1; tried again in 4 s)."),
    ],
)
def test_what_a_task_says_is_told(state: int, said: str) -> None:
    message = "the tier is full (attempt 1; tried again in 4 s)"
    task = {"task_key": "tier", "task_id": 12, "job_id": 7, "task_state": state, "task_msg": message}
    assert said in told(decision(), tasks={"Task": task})


def test_an_original_that_was_removed_is_said_to_be_gone() -> None:
    response = {"tier": {"tier": "tierA", "moved": True, "removed": "root://n/A01.tif"}}
    task = {"task_key": "tier", "task_id": 12, "job_id": 7, "task_state": 200}
    place = {"url": "file:///hot/x", "site": "default", "moved": True, "moved_at": 1_790_000_000.0}
    text = told(decision(), response=response, place=place, tasks={"Task": task})
    assert "The original, root://n/A01.tif, was removed by its task tier (12) at 2026-09-2" in text
    assert "`move: true`" in text
    assert "The original" not in told(decision(), response=response, place={**place, "moved": False})


def test_why_nothing_was_decided_is_said_where_a_task_has_failed() -> None:
    task = {"task_key": "focus-score", "task_id": 11, "job_id": 7, "task_state": 502, "task_msg": "no image."}

    def nothing(_job_id: int) -> list[DecisionAnswer]:
        raise NotFoundError("nothing was decided yet about the object of job 7")

    client: Any = SimpleNamespace(job=lambda _: job(tasks={"Task": task}), decisions_about=nothing)
    with pytest.raises(
        NotFoundError, match=r"of job 7\. Its task focus-score \(11\) failed \(502\): no image$"
    ):
        explain(client, ["7"], as_json=False)


def test_an_image_without_a_score_has_its_reason() -> None:
    text = told(decision(score=None, tier="empty", reason="no score: empty field"))
    assert "No score: empty field." in text
    assert "Images without a score go to empty." in text
    assert "Its score" not in text


def test_an_image_set_is_named_where_the_score_is_its() -> None:
    reason = "image set well A01: channels DAPI, GFP; complete; logistic: DAPI gave 0.6000"
    text = told(decision(score=0.6, members=[7, 8], reason=reason))
    assert "Its score is 0.6000, by logistic(feature=plls, k=4.5, x0=-1.4), which is that of its" in text
    assert "exp(" not in text  # of its own feature, which did not make the score
    assert f"{reason[0].upper()}{reason[1:]}." in text.splitlines()


def test_a_number_beyond_all_measure_is_left_out() -> None:
    assert "Measured by focus-score: plls -0.9." in told(decision(features={"plls": -0.9, "n": 10**400}))


def test_a_pin_is_named_until_it_is_taken_away() -> None:
    pin = decision(
        decision_id=2,
        origin="pin",
        made_by="eva",
        tier="tierD",
        reason="pinned to tierD: figure 2",
        supersedes=1,
    )
    later = decision(
        decision_id=3,
        origin="new-policy",
        tier="tierD",
        reason="pinned to tierD; else: score 1",
        supersedes=2,
    )
    unpin = decision(
        decision_id=4, origin="unpin", tier="tierD", reason="not pinned any more: done", supersedes=3
    )
    text = told(decision(), pin, later)
    assert "It was pinned to tierD by eva at 2026-" in text
    assert "figure 2." in text
    assert "Without the pin: score 1." in text
    assert "decision 3, instead of decision 2: tierD" in text
    assert "It was pinned" not in told(decision(), pin, later, unpin)


@pytest.mark.parametrize(
    ("spec", "fields", "said"),
    [
        (
            {"function": "quantile", "parameters": {"feature": "plls"}},
            {"seen": 12},
            "its plls was ranked among the stream's other images, those up to decision 12",
        ),
        (
            {"function": "quantile", "parameters": {"feature": "plls"}},
            {"seen": 0},
            "there were none yet",
        ),
        (
            {"function": "precomputed", "parameters": {"field": "mine"}},
            {"circumstances": {"metadata": {"mine": 0.7}}},
            "submitted with the image, as mine = 0.7",
        ),
        ({"function": "crowding:crowding", "parameters": {"most": 3}}, {}, "by crowding:crowding(most=3)."),
    ],
)
def test_other_functions_are_told_as_far_as_they_are_known(
    spec: dict[str, Any], fields: dict[str, Any], said: str
) -> None:
    assert said in told(decision(interestingness=spec, **fields))


def test_what_was_done_before_measuring_is_told() -> None:
    features = {"plls": -1, "pixels": "flood fill", "plane": {"z": 3}, "planes": 5}
    text = told(decision(features={**features, "undefined_features": {"snr": "no signal"}}))
    assert "pixels after: flood fill" in text
    assert "Of its 5 planes, this one was measured: z 3." in text
    assert "snr has no value: no signal." in text
