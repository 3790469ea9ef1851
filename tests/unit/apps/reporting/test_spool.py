"""A report is made without holding the answers that it is made from."""

import tempfile
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from haste_apps.interruption import Interruption
from haste_apps.reporting.reporting import write_report
from haste_apps.reporting.spool import Spool
from haste_client import HasteClient
from haste_client.answers import DecisionAnswer, ImageAnswer, StreamAnswer
from haste_core.routing import Roots
from tests.unit.apps.reporting.streams import PIPELINE, decision, image, many_images, stream

IMAGES = 200
NOTE_CHARACTERS = 20_000
HELD_AT_MOST = 4_000_000
"""Bytes. All that is answered of the images takes twice as much, as rows or text still more."""


def note(number: int) -> str:
    """Write something long, so that few images are many bytes."""
    return f"{number:05}" * (NOTE_CHARACTERS // 5)


class Pages:
    """Answers for a report, made when they are asked for, as those of a server are."""

    roots = Roots.parse({})

    def __init__(self, count: int) -> None:
        self._count = count

    def stream(self, stream_id: str) -> StreamAnswer:
        return stream(stream_id=stream_id)

    def images(self, _stream_id: str, **_chosen_by: Any) -> Iterator[ImageAnswer]:
        for number in range(self._count):
            yield image(number, 0.8, metadata={"well": f"A{number % 12 + 1}", "note": note(number)})

    def decisions(self, _stream_id: str) -> Iterator[DecisionAnswer]:
        for number in range(self._count):
            yield decision(1000 + number, "tierA", circumstances={"note": note(number)})

    def jobs(self, **_chosen_by: Any) -> Iterator[Any]:
        return iter(())


def held_by(format_: str, count: int, path: Path) -> int:
    """Return how many bytes are held at most while a report is made."""
    client = cast("HasteClient", Pages(count))
    tracemalloc.start()
    try:
        write_report(client, "plate7", format_, path, interruption=Interruption(), force=True)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("format_", ["csv", "json", "html"])
def test_a_report_of_many_images_holds_few_of_them(
    format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haste_apps.reporting.spool._BLOCK", 10)
    monkeypatch.setattr("haste_apps.reporting.files._ROWS_PER_WRITE", 10)
    path = tmp_path / "report"
    held_by(format_, 10, path)  # what is imported is held as well
    assert held_by(format_, IMAGES, path) < HELD_AT_MOST
    assert path.stat().st_size > 10_000


def test_answers_come_back_as_they_were_and_as_often_as_wanted() -> None:
    images = [*many_images(450), image(1, 0.1, place={"url": "file:///ä", "site": "b", "sidecars": ()})]
    with Spool(ImageAnswer, lambda: None) as spool:
        assert list(spool) == []
        spool.fill(iter(images))
        assert len(spool) == 451
        assert list(zip(spool, spool, strict=True)) == list(zip(images, images, strict=True))


def test_answers_are_not_read_to_their_end_when_the_program_shall_end() -> None:
    def end() -> None:
        raise KeyboardInterrupt

    with Spool(ImageAnswer, end) as spool:
        spool.fill(many_images(3))
        with pytest.raises(KeyboardInterrupt):
            list(spool)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_folder_for_temporary_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    full = partial(Path("/dev/full").open, "r+b", buffering=0)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with (
        Spool(DecisionAnswer, lambda: None) as spool,
        pytest.raises(OSError, match=f"TMPDIR.*{tempfile.gettempdir()}"),
    ):
        spool.fill([decision(1, "tierA", policy=PIPELINE.policy)])
