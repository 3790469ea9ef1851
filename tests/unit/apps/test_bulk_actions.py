"""`haste retry` and `haste cancel` choose jobs by number or by their tasks, and tell what was refused."""

import json

import pytest

from haste_apps.bulk_actions import Chosen, act
from haste_client.answers import JobAnswer
from haste_client.bulk_actions import ActionResult, BulkActionAnswer
from haste_core.errors import InvalidError
from haste_runtime.exit_codes import ExitCode

JOB = JobAnswer(
    job_id=7,
    state=410,
    created_at=0.0,
    source_url="root://n/x",
    source_id="x",
    site="default",
    stream_id="plate7",
)


class Client:
    """Answers as a server does, and remembers what was asked."""

    def __init__(self, answer: BulkActionAnswer | None = None) -> None:
        self.asked: list[tuple[object, ...]] = []
        self._answer = answer or BulkActionAnswer(changed=3, refused=0, results=())

    def cancel_job(self, job_id: int) -> JobAnswer:
        self.asked.append(("cancel", job_id))
        return JOB

    def retry_job(self, job_id: int) -> JobAnswer:
        self.asked.append(("retry", job_id))
        return JOB

    def cancel_jobs(self, job_ids: object = None, **chosen_by: object) -> BulkActionAnswer:
        self.asked.append(("cancel", job_ids, chosen_by))
        return self._answer

    def retry_jobs(self, job_ids: object = None, **chosen_by: object) -> BulkActionAnswer:
        self.asked.append(("retry", job_ids, chosen_by))
        return self._answer


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_one_number_shows_the_job(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    client = Client()
    assert act(client, action, Chosen([7]), as_json=True) is ExitCode.DONE
    assert client.asked == [(action, 7)]
    assert json.loads(capsys.readouterr().out)["state"] == 410


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_many_are_counted_and_refusals_explained(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = ActionResult(id=8, status=409, detail="job 8 has ended")
    client = Client(BulkActionAnswer(changed=1, refused=1, results=(ActionResult(id=7, status=200), refusal)))
    assert act(client, action, Chosen([7, 8]), as_json=False) is ExitCode.WORK_FAILED
    assert client.asked == [(action, [7, 8], {})]
    assert "job 8 has ended" in capsys.readouterr().out


def test_a_choice_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client()
    assert act(client, "cancel", Chosen(None, "plate7", "tier", None, "503"), as_json=True) is ExitCode.DONE
    assert client.asked == [("cancel", None, {"stream_id": "plate7", "task_key": "tier", "state": "503"})]
    assert json.loads(capsys.readouterr().out)["changed"] == 3


@pytest.mark.parametrize(
    "chosen", [Chosen(), Chosen([]), Chosen([1], "plate7"), Chosen([1, 2], state="open")]
)
def test_numbers_or_a_choice_but_not_both(chosen: Chosen) -> None:
    with pytest.raises(InvalidError, match="--stream"):
        act(Client(), "cancel", chosen, as_json=False)
