"""Changes are logged with the transactions that make them, on each database."""

import pytest

from haste_core.errors import ConflictError
from haste_server.authorship import Change, begin_change
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW, PIPELINE, spec, submitted


def change(who: str = "lab1-pc", action: str = "streams.set_mode", details: str = "{}") -> Change:
    return Change(NOW, who, "127.0.0.1", action, "/HASTE/stream/s/mode", lambda: details)


@pytest.fixture(autouse=True)
def _nobodys() -> None:
    begin_change(None)


def entries(store: SqlStore, who: str | None = None) -> list[tuple[str, str]]:
    found = store.audit(who=who, cursor=None, limit=100).items
    return [(entry.who, entry.action) for entry in found]


def test_a_change_is_logged_once_with_its_first_transaction(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, None, now=NOW)
    assert entries(store) == []
    begin_change(change(details='{"mode": "enforce", "\u00e9": "\U0001f52c"}'))
    store.set_mode("s", "enforce")
    store.set_mode("s", "observe")
    begin_change(None)
    store.set_mode("s", "enforce")

    (entry,) = store.audit(who=None, cursor=None, limit=100).items
    assert (entry.made_at, entry.who, entry.address) == (NOW, "lab1-pc", "127.0.0.1")
    assert (entry.action, entry.target) == ("streams.set_mode", "/HASTE/stream/s/mode")
    assert entry.details == '{"mode": "enforce", "\u00e9": "\U0001f52c"}'


def test_what_was_not_changed_is_not_logged(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, "observe", now=NOW)
    begin_change(change())
    with pytest.raises(ConflictError):
        store.create_stream("s", PIPELINE, "enforce", now=NOW)
    store.stream("s")
    assert entries(store) == []

    store.set_mode("s", "enforce")  # a later transaction of the same request
    assert entries(store) == [("lab1-pc", "streams.set_mode")]


def test_what_many_batches_change_is_logged_once(store: SqlStore) -> None:
    job_ids = submitted(store, *(spec(source_id=str(number)) for number in range(450)))
    begin_change(change(action="actions.cancel_jobs"))
    assert set(store.act_on_jobs("cancel", job_ids, now=NOW)) == {None}

    assert entries(store) == [("lab1-pc", "actions.cancel_jobs")]


def test_the_log_comes_in_pages_the_latest_first(store: SqlStore) -> None:
    store.create_stream("s", PIPELINE, None, now=NOW)
    for number in range(5):
        begin_change(change("even" if number % 2 == 0 else "odd", action=str(number)))
        store.set_mode("s", "enforce")

    first = store.audit(who=None, cursor=None, limit=3)
    rest = store.audit(who=None, cursor=first.next, limit=3)
    assert [entry.action for entry in (*first.items, *rest.items)] == ["4", "3", "2", "1", "0"]
    assert rest.next is None
    assert entries(store, "odd") == [("odd", "3"), ("odd", "1")]
    assert entries(store, "nobody") == []
