"""What the uploads of tokens with a quota hold, on each database."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from haste_core.tokens import NewToken, Scope, sha256_of
from haste_core.upload_quotas import HeldUpload, UploadQuota, UploadQuotaError
from haste_server.store.sql import SqlStore
from tests.contract.store_bench import NOW

URL = "root://landing/plate7/ab/abc.tif"
LIMIT = 1000


@pytest.fixture
def quota(store: SqlStore) -> UploadQuota:
    return quota_of(store, "lab1-pc")


def quota_of(store: SqlStore, name: str) -> UploadQuota:
    wanted = NewToken(name, (Scope.SUBMIT,), upload_quota_bytes=LIMIT)
    found = store.add_token(wanted, sha256_of(name), now=NOW).caller.upload_quota
    assert found == UploadQuota(found.token_id, name, LIMIT)
    return found


def held(store: SqlStore, quota: UploadQuota) -> int:
    return store.token(quota.token_id).upload_held_bytes


def keys(store: SqlStore) -> list[tuple[str, str | None]]:
    return [(item.key, item.url) for item in store.held(cursor=None, limit=100).items]


def test_uploads_count_until_the_quota_is_reached(store: SqlStore, quota: UploadQuota) -> None:
    store.hold(quota, "a", 600, now=NOW)
    with pytest.raises(UploadQuotaError, match=r"'lab1-pc'.* 1,000 bytes .* 600, .* 401 more"):
        store.hold(quota, "b", 401, now=NOW)
    store.hold(quota, "b", 400, now=NOW)

    assert held(store, quota) == LIMIT
    assert keys(store) == [("a", None), ("b", None)]


def test_an_upload_counts_once_with_its_last_length(store: SqlStore, quota: UploadQuota) -> None:
    for size_bytes, counted in ((1, 1), (900, 900), (900, 900), (300, 300)):
        store.hold(quota, "a", size_bytes, now=NOW)
        assert held(store, quota) == counted
    with pytest.raises(UploadQuotaError):
        store.hold(quota, "a", 1001, now=NOW)
    assert held(store, quota) == 300


def test_each_token_has_its_own_count(store: SqlStore, quota: UploadQuota) -> None:
    other = quota_of(store, "lab2-pc")

    store.hold(quota, "a", 1000, now=NOW)
    store.hold(other, "b", 1000, now=NOW)
    store.hold(other, "a", 1000, now=NOW)  # another's who began it

    assert (held(store, quota), held(store, other)) == (1000, 1000)


def test_what_has_landed_counts_as_its_file_and_each_file_once(store: SqlStore, quota: UploadQuota) -> None:
    store.hold(quota, "a", 300, now=NOW)
    store.land("a", URL, now=NOW + 1)
    store.land("a", URL, now=NOW + 1)
    assert keys(store) == [(sha256_of(URL), URL)]
    assert held(store, quota) == 300

    store.hold(quota, "b", 300, now=NOW)
    store.land("b", URL, now=NOW + 2)
    store.land("unknown", "root://landing/other", now=NOW)

    assert store.held(cursor=None, limit=9).items == [HeldUpload(sha256_of(URL), URL, NOW + 2)]
    assert held(store, quota) == 300


def test_what_is_released_counts_no_more(store: SqlStore, quota: UploadQuota) -> None:
    for key in ("a", "b"):
        store.hold(quota, key, 300, now=NOW)

    for _ in range(2):
        store.release("a")
    store.release("b", unless_after=NOW - 1)
    assert (keys(store), held(store, quota)) == ([("b", None)], 300)

    store.release("b", unless_after=NOW)
    assert (keys(store), held(store, quota)) == ([], 0)


def test_what_counts_is_listed_in_pages(store: SqlStore, quota: UploadQuota) -> None:
    for key in "cab":
        store.hold(quota, key, 1, now=NOW)

    first = store.held(cursor=None, limit=2)
    rest = store.held(cursor=first.next, limit=2)

    assert [item.key for item in (*first.items, *rest.items)] == ["a", "b", "c"]
    assert rest.next is None


def test_of_many_at_once_no_more_get_in_than_have_room(store: SqlStore, quota: UploadQuota) -> None:
    def begins(number: int) -> bool:
        try:
            store.hold(quota, f"upload {number}", 300, now=NOW)
        except UploadQuotaError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        begun = list(threads.map(begins, range(16)))

    assert sum(begun) == 3
    assert held(store, quota) == 900
