"""What `haste token` reads."""

import pytest

from haste_apps.giving_tokens import size_of
from haste_core.errors import InvalidError


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("200G", 200 * 10**9), ("1.5TB", 15 * 10**11), ("800M", 8 * 10**8), ("12k", 12_000), ("7", 7)],
)
def test_sizes_are_read(text: str, size_bytes: int) -> None:
    assert size_of(text) == size_bytes


@pytest.mark.parametrize("text", ["", "0", "0.0G", "-1G", "200 G B", "much", "1e9", "0.0001"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="200G"):
        size_of(text)
