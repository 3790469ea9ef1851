"""What the selector of a microscope's computer promises, on each database."""

import pytest

from haste_core.edge_course import estimated_course
from haste_core.messages import Outcome, TaskMessage, TaskResult
from haste_core.routing import Route
from haste_core.states import Phase, TaskState
from haste_server.engine import edge_site
from haste_server.store.sql import SqlStore
from tests.contract.edge_bench import SIZE, Computer
from tests.contract.store_bench import spec, submitted


@pytest.fixture
def computer(store: SqlStore) -> Computer:
    return Computer(store)


def states(computer: Computer, job_ids: list[int]) -> list[list[TaskState]]:
    return [[task.state for task in job.tasks] for job in computer.jobs(job_ids)]


def all_ended_well(computer: Computer, job_ids: list[int]) -> bool:
    """Tell whether each was sent once, and either preprocessed once before or not at all."""
    ways = states(computer, job_ids)
    once = all(task.attempt <= 1 for job in computer.jobs(job_ids) for task in job.tasks)
    good = ([TaskState.DONE, TaskState.DONE], [TaskState.SKIPPED, TaskState.DONE])
    return once and all(way in good for way in ways) and sorted(computer.sent) == sorted(job_ids)


def test_what_saves_much_is_preprocessed_the_rest_is_sent_as_it_is(computer: Computer) -> None:
    job_ids = computer.submit(*range(70))
    computer.run()
    assert all_ended_well(computer, job_ids)
    # There is time for half of all, and 30 save much; by chance it would be 15 of these.
    assert len(computer.preprocessed) < 45
    assert len(set(computer.preprocessed) & set(job_ids[:30])) >= 23


def test_a_restart_in_the_middle_goes_on_with_what_was_learned(computer: Computer) -> None:
    job_ids = computer.submit(*range(30, 60))
    computer.run(until=14)
    sent, preprocessed = len(computer.sent), len(computer.preprocessed)
    computer.boot()
    later = computer.submit(*range(60, 70), *range(100, 110))  # these ten save much
    computer.run()
    assert all_ended_well(computer, job_ids + later)
    assert sent == 14 > preprocessed > 3
    assert len(set(computer.preprocessed) & set(later[10:])) >= 7


def test_a_selector_that_is_new_chooses_as_the_one_before_would(computer: Computer) -> None:
    computer.submit(*range(60))
    computer.run(until=20)
    for _, _, message in sorted(computer.events):
        computer.end(message)
    computer.look()
    computer.hand_out()  # so that the next choice follows a look
    before = computer.choose("preprocess", 3)
    computer.boot()
    assert computer.choose("preprocess", 3)[0] in before


def test_attempts_that_are_lost_or_fail_are_made_up_for(computer: Computer) -> None:
    seen: dict[tuple[str, int], int] = {}

    def trouble(message: TaskMessage, result: TaskResult) -> TaskResult:
        key = (message.task_key, message.job_id % 4)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            return result
        ends = [Outcome.LOST, Outcome.HANDED_BACK, Outcome.CRASHED, Outcome.ENDED]
        changed = {"outcome": ends[key[1]], "state": TaskState.REMOTE_TROUBLE, "worker_id": ""}
        return result.model_copy(update={**changed, "response": {}, "place": None})

    computer.answers = trouble
    job_ids = computer.submit(*range(40))
    computer.run()
    for _ in range(3):  # what was paused is seen when it is looked for
        computer.now += 2
        computer.look()
        computer.run()
    assert len(seen) == 8
    assert sorted(computer.sent) == job_ids
    assert {job.state for job in computer.jobs(job_ids)} == {TaskState.DONE}


def test_an_image_that_cannot_be_preprocessed_is_sent_as_it_is(computer: Computer) -> None:
    def refuse(message: TaskMessage, result: TaskResult) -> TaskResult:
        if message.task_key == "upload":
            return result
        return result.model_copy(update={"state": TaskState.BAD_INPUT, "response": {}, "place": None})

    computer.answers = refuse
    job_ids = computer.submit(*range(20))
    computer.run()
    assert sorted(computer.sent) == job_ids
    assert any(way == [TaskState.BAD_INPUT, TaskState.DONE] for way in states(computer, job_ids))


def test_what_was_cancelled_or_deleted_is_not_chosen_nor_counted(computer: Computer) -> None:
    job_ids = computer.submit(*range(30))
    computer.run(until=3)
    open_jobs = [job.job_id for job in computer.jobs(job_ids) if job.tasks[1].phase is Phase.READY]
    for job_id in open_jobs[::2]:
        computer.store.cancel_job(job_id, now=computer.now)
    for job_id in open_jobs[1:8:2]:
        computer.store.delete(job_id)
    left = [job_id for job_id in job_ids if job_id not in (*open_jobs[::2], *open_jobs[1:8:2])]
    computer.run()
    assert sorted(computer.sent) == left


def test_what_is_asked_for_again_comes_again(computer: Computer) -> None:
    job_ids = computer.submit(*range(12))
    for job_id in job_ids[4:8]:
        computer.store.cancel_job(job_id, now=computer.now)
    computer.run()
    for job_id in job_ids[4:8]:
        computer.store.retry_job(job_id, now=computer.now)
    computer.store.force_retry_task(computer.store.job(job_ids[0]).tasks[1].task_id, now=computer.now)
    computer.run()
    assert sorted(computer.sent) == sorted([*job_ids, job_ids[0]])


def test_what_could_not_be_claimed_is_free_again(computer: Computer) -> None:
    job_ids = computer.submit(*range(4))
    first = computer.choose("upload", 4)
    assert computer.choose("upload", 4) == first  # nobody claimed them
    [taken] = computer.store.claim(Route("upload", "default"), 1, now=computer.now, lease_s=30)
    assert taken.task_id == first[0]  # by another server
    again = computer.choose("upload", 4)
    assert len(again) == 1
    assert again[0] != first[0]
    computer.end(taken)
    computer.run()
    assert sorted(computer.sent) == job_ids


def test_the_older_stream_goes_first_and_the_next_one_takes_what_it_leaves(computer: Computer) -> None:
    older = computer.submit(*range(14), stream_id="older")
    newer = computer.submit(*range(14), stream_id="newer")
    computer.run()
    assert all_ended_well(computer, older + newer)
    sent_as_older = [job_id in older for job_id in computer.sent]
    assert sent_as_older.index(False) >= 11  # those under way to be preprocessed are sent later
    assert len(set(computer.preprocessed) & set(newer)) >= 4  # of which the older one has no use any more


def test_images_without_a_number_or_with_the_same_one_are_told_apart(computer: Computer) -> None:
    job_ids = computer.submit(*range(10), index=None)
    job_ids += computer.submit(*range(10, 20), index=7)
    job_ids += computer.submit(*range(20, 25), index=10**15)
    job_ids += computer.submit(*range(25, 30), source_version=None)
    computer.run()
    assert all_ended_well(computer, job_ids)


def test_images_that_must_be_preprocessed_are_whatever_it_is_worth(computer: Computer) -> None:
    must = {"taskSequential": ["preprocess", "upload"]}
    job_ids = computer.submit(*range(6), tasks=must)
    never_sent = submitted(computer.store, spec("preprocess", source_id="i100"), now=computer.now)
    computer.run()
    assert states(computer, job_ids) == [[TaskState.DONE, TaskState.DONE]] * 6
    assert states(computer, never_sent) == [[TaskState.DONE]]
    assert sorted(computer.sent) == job_ids


def test_a_backlog_that_is_cancelled_is_found_beside_and_forgotten(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_site, "_PAGE", 10)
    old = computer.submit(*range(50), stream_id="old")
    computer.choose("upload", 1)
    for job_id in old:
        computer.store.cancel_job(job_id, now=computer.now)
    new = computer.submit(*range(30), stream_id="new")
    for _ in range(20):
        computer.now += 1.1
        computer.look()
    site = computer.selector._sites["default"]
    assert site.waiting_bytes == {"old": 0, "new": 30 * SIZE}
    computer.run()
    assert sorted(computer.sent) == new


def test_what_was_known_when_images_were_chosen_is_found_out_afterwards(computer: Computer) -> None:
    computer.submit(*range(40), stream_id="s")
    computer.run(until=30)
    course = estimated_course(computer.store.preprocessed("s", limit=100), found=40)

    assert len(course.marks) == len(computer.preprocessed)
    assert course.marks[0].searched
    assert course.searched >= 2 <= course.exploited
    truly = [(150_000 if number < 30 else 5_000) / computer.preprocess_s for number in course.numbers]
    off = [abs(expected - true) for expected, true in zip(course.expected, truly, strict=True)]
    assert sorted(off)[len(off) // 2] < 75_000  # of 375,000


def test_other_sites_and_keys_are_not_touched(computer: Computer) -> None:
    computer.submit(*range(5), site="elsewhere")
    assert computer.choose("upload", 4) == computer.choose("preprocess", 4) == []
    assert computer.selector.choose(Route("tier", "default"), 4, now=computer.now) == []
