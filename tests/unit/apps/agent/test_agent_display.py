"""What the agent shows."""

import json

import pytest

from haste_apps.agent.display import Display, status_fields, status_text
from haste_apps.agent.following import Status, size_in

STATUS = Status(
    found=418,
    preprocessed=231,
    uploaded=380,
    waiting=38,
    original_bytes=180_000_000,
    sent_bytes=158_400_000,
    waiting_bytes=18_000_000,
    bytes_per_s=2_000_000,
)


def test_one_line() -> None:
    assert status_text(STATUS) == (
        "418 found · 231 preprocessed · 380 uploaded · 38 waiting · 2.0 MB/s · 12 % saved · 0:08 left"
    )
    assert status_text(Status(found=1, failed=1), 2).startswith(
        "1 found · 0 preprocessed · 0 uploaded · 0 waiting · 1 FAILED · 2 incomplete · 0 B/s"
    )
    assert status_text(Status(trouble="the server is away")).endswith("WAITING: the server is away")


def test_when_nothing_moves_nobody_knows_how_long_it_takes() -> None:
    assert Status(waiting=3, waiting_bytes=9).eta_s is None
    assert Status().eta_s == 0
    assert status_fields(Status(waiting=3), 0)["eta_s"] is None


def test_trouble_is_told_as_it_comes_and_goes(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(as_json=True)
    for trouble in ("", "away", "away", ""):
        display.show(Status(trouble=trouble), incomplete=0)
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert [event["message"] for event in events if event["event"] == "trouble"] == ["away", None]
    assert said.err.splitlines() == ["Waiting: away", "It goes on."]


@pytest.mark.parametrize(("version", "size"), [("33024-1-0a", 33024), (None, 0), ("f" * 64, 0)])
def test_size_of_an_original(version: str | None, size: int) -> None:
    assert size_in(version) == size
