"""Tokens and projects, on each database."""

import pytest

from haste_core.errors import ConflictError, NotFoundError
from haste_core.states import TaskState
from haste_core.stores import DEFAULT_PROJECT, JobFilter, Submitted, TaskFilter
from haste_core.tokens import NewToken, Scope, TokenRecord, included, sha256_of
from haste_server.store.sql import SqlStore
from haste_server.store.submission import Call
from tests.contract.store_bench import NOW, PIPELINE, spec, submitted

FULL = NewToken("lab1-pc", (Scope.SUBMIT, Scope.WORK), ("lab1", "shared"), NOW + 3600)


def make(store: SqlStore, name: str) -> TokenRecord:
    return store.add_token(NewToken(name, (Scope.READ,)), sha256_of(f"secret of {name}"), now=NOW)


def test_a_token_is_found_by_its_hash_as_it_was_asked_for(store: SqlStore) -> None:
    made = store.add_token(FULL, sha256_of("secret"), now=NOW)

    assert made == TokenRecord(
        "lab1-pc",
        (Scope.SUBMIT, Scope.WORK),
        ("lab1", "shared"),
        NOW + 3600,
        token_id=made.token_id,
        created_at=NOW,
    )
    assert store.token_by_hash(sha256_of("secret")) == made
    assert store.token(made.token_id) == made
    assert store.token_by_hash(sha256_of("Secret")) is None
    assert store.token_by_hash("secret") is None
    with pytest.raises(NotFoundError, match="no token"):
        store.token(made.token_id + 1)


def test_a_token_without_projects_has_all_and_without_an_end_none(store: SqlStore) -> None:
    made = make(store, "all")

    assert (made.projects, made.expires_at) == (None, None)
    assert made.is_good(NOW + 1e9)


def test_names_and_secrets_are_given_once(store: SqlStore) -> None:
    made = make(store, "a")
    store.revoke_token("a", now=NOW)

    with pytest.raises(ConflictError, match="choose another name"):
        store.add_token(NewToken("a", (Scope.READ,)), sha256_of("other"), now=NOW)
    assert store.token_by_hash(sha256_of("other")) is None
    assert make(store, "A").token_id > made.token_id  # names differ by case


def test_a_revoked_token_is_not_good_and_keeps_its_time(store: SqlStore) -> None:
    made = make(store, "a")

    assert store.revoke_token("a", now=NOW + 1).revoked_at == NOW + 1
    assert store.revoke_token("a", now=NOW + 2).revoked_at == NOW + 1
    assert not store.token(made.token_id).is_good(NOW)
    with pytest.raises(NotFoundError):
        store.revoke_token("A", now=NOW)


def test_use_is_noted(store: SqlStore) -> None:
    made, other = make(store, "a"), make(store, "b")

    store.note_token_use(made.token_id, now=NOW + 5)

    assert store.token(made.token_id).last_used_at == NOW + 5
    assert store.token(other.token_id).last_used_at is None


def test_tokens_are_listed_in_pages(store: SqlStore) -> None:
    made = [make(store, name) for name in "cba"]

    first = store.tokens(cursor=None, limit=2)
    rest = store.tokens(cursor=first.next, limit=2)

    assert [*first.items, *rest.items] == made
    assert rest.next is None


def test_a_stream_belongs_to_the_project_that_it_was_made_in(store: SqlStore) -> None:
    made, _ = store.create_stream("a", PIPELINE, None, now=NOW, project="lab1")
    plain, _ = store.create_stream("b", PIPELINE, None, now=NOW)

    assert (made.project, plain.project) == ("lab1", DEFAULT_PROJECT)
    assert store.create_stream("a", PIPELINE, None, now=NOW) == (made, False)
    assert store.create_stream("a", PIPELINE, None, now=NOW, project="lab1") == (made, False)
    assert store.stream("a") == made
    with pytest.raises(ConflictError, match="'a' belongs to a stream of another project"):
        store.create_stream("a", PIPELINE, None, now=NOW, project="lab2")


def test_a_stream_that_a_job_makes_belongs_to_its_senders_first_project(store: SqlStore) -> None:
    store.submit([spec(stream_id="a")], now=NOW, projects=("lab1", "lab2"))
    store.submit([spec(stream_id="b")], now=NOW)

    assert (store.stream("a").project, store.stream("b").project) == ("lab1", DEFAULT_PROJECT)


def test_nothing_is_submitted_to_a_stream_of_another_project(store: SqlStore) -> None:
    store.create_stream("theirs", PIPELINE, None, now=NOW, project="lab2")
    mixed = [spec(stream_id="ours"), spec(stream_id="theirs")]

    for specs in (mixed, mixed[1:]):
        with pytest.raises(ConflictError, match="'theirs' belongs to a stream of another project"):
            store.submit(specs, now=NOW, projects=("lab1",), idempotency_key=f"of {len(specs)}")

    assert [stream.stream_id for stream in store.streams(cursor=None, limit=10).items] == ["theirs"]
    assert store.submit(mixed, now=NOW, projects=("lab1", "lab2"))
    assert store.submit(mixed, now=NOW)


def test_of_calls_that_share_a_transaction_each_has_its_own_projects(store: SqlStore) -> None:
    calls = [Call([spec(stream_id=name)], NOW, None, (f"lab {name}",)) for name in ("a", "b")]
    answers = store._store_calls([*calls, Call([spec(stream_id="c")], NOW)])

    assert all(isinstance(answer, Submitted) for (answer,) in answers)
    assert [store.stream(name).project for name in "abc"] == ["lab a", "lab b", DEFAULT_PROJECT]


def test_projects_have_idempotency_keys_of_their_own(store: SqlStore) -> None:
    [ours] = store.submit([spec(stream_id="a")], now=NOW, idempotency_key="k", projects=["lab1"])
    [theirs] = store.submit([spec(stream_id="b")], now=NOW, idempotency_key="k", projects=["lab2"])
    [all_have] = store.submit([spec(stream_id="c")], now=NOW, idempotency_key="k")
    [again] = store.submit([spec(stream_id="a")], now=NOW, idempotency_key="k", projects=["lab1", "lab2"])

    assert (theirs.created, all_have.created) == (True, True)
    assert (again.job_id, again.created) == (ours.job_id, False)


def test_things_are_chosen_by_project(store: SqlStore) -> None:
    for name, project in (("a", "lab1"), ("b", "lab2"), ("c", "lab3")):
        store.create_stream(name, PIPELINE, None, now=NOW, project=project)
    a, b, c = submitted(store, *(spec(stream_id=name) for name in "abc"))
    tasks = {job_id: store.job(job_id).tasks[0].task_id for job_id in (a, b, c)}

    assert store.streams_among(["a", "b", "none"], ["lab1", "lab3"]) == {"a"}
    assert store.jobs_among([a, b, c, 10**9], ["lab1", "lab3"]) == {a, c}
    assert store.tasks_among([*tasks.values(), 10**9], ["lab2"]) == {tasks[b]}
    assert store.jobs_among([], ["lab1"]) == frozenset()


def test_scopes_include_others() -> None:
    assert included([Scope.ADMIN]) == frozenset(Scope)
    assert included([Scope.SUBMIT]) == {Scope.READ, Scope.SUBMIT}
    assert included([Scope.WORK, Scope.READ]) == {Scope.READ, Scope.WORK}


def test_lists_and_sweeps_keep_to_projects(store: SqlStore) -> None:
    for name, project in (("a", "lab1"), ("b", "lab2"), ("c", "lab1")):
        store.create_stream(name, PIPELINE, None, now=NOW, project=project)
    a, b, c = submitted(store, *(spec(stream_id=name, source_id="x") for name in "abc"))
    ours = ("lab1", "lab3")

    streams = store.streams(cursor=None, limit=1, projects=ours)
    rest = store.streams(cursor=streams.next, limit=2, projects=ours)
    assert [item.stream_id for item in (*streams.items, *rest.items)] == ["a", "c"]
    for wanted in (JobFilter(projects=ours), JobFilter(source_id="x", state="open", projects=ours)):
        assert store.job_ids(wanted, cursor=None, limit=9).items == [a, c]
    assert store.job_ids(JobFilter(stream_id="b", projects=ours), cursor=None, limit=9).items == []
    unended = frozenset({TaskState.REGISTERED})
    swept = store.sweep_jobs("cancel", TaskFilter(unended, projects=ours), now=NOW + 1, cursor=None, limit=9)
    assert (swept.changed, swept.refused) == (2, 0)
    assert [store.job(job_id).state.ended for job_id in (a, b, c)] == [True, False, True]
    ended = JobFilter(ended_since=NOW, projects=["lab2"])
    assert store.jobs(ended, cursor=None, limit=9).items == []
    assert store.foreign_streams(["a", "b", "none"], ours) == {"b"}


def test_failed_logins_are_counted_by_site_and_forgotten(store: SqlStore) -> None:
    for number in range(4):
        store.note_failed_login("10.0.0.1", now=NOW + number)
    store.note_failed_login("2001:db8::/64", now=NOW + 9)

    assert store.failed_logins("10.0.0.1", since=NOW, limit=10) == [NOW + 3, NOW + 2, NOW + 1]
    assert store.failed_logins("10.0.0.1", since=NOW - 1, limit=2) == [NOW + 3, NOW + 2]
    assert store.failed_logins("2001:db8::/64", since=NOW, limit=10) == [NOW + 9]
    assert store.failed_logins("10.0.0.2", since=0, limit=10) == []

    store.forget_failed_logins(before=NOW + 3)

    assert store.failed_logins("10.0.0.1", since=0, limit=10) == [NOW + 3]
    assert store.failed_logins("2001:db8::/64", since=0, limit=10) == [NOW + 9]
