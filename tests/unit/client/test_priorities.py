from collections.abc import Callable
from pathlib import Path

import pytest

from haste_client.priorities import ImageView, Known, Prioritiser
from haste_client.results import Result


def image(index: int) -> ImageView:
    return ImageView(f"{index}.tif", Path(f"/{index}.tif"), index, 100, 0.0)


def result(index: int, score: float) -> Result:
    return Result(f"{index}.tif", index, state="done", code=200, interestingness=score)


def near_the_best(view: ImageView, known: Known) -> float:
    """Rank images by how near they are to the most interesting one so far."""
    best = max(known.results.values(), key=lambda one: one.interestingness or 0, default=None)
    if best is None:
        return 1.0
    centre = next(other.index for other in known.images if other.source_id == best.source_id)
    return -abs(view.index - centre)


def test_priorities_follow_what_becomes_known() -> None:
    prioritiser = Prioritiser(near_the_best)
    images = [image(index) for index in range(5)]
    first = prioritiser.first(images, {})
    assert set(first.values()) == {1.0}
    prioritiser.confirm(first)
    known = {"3.tif": result(3, 0.9)}
    changed = eventually(lambda: prioritiser.changed(["0.tif", "1.tif", "2.tif", "4.tif"], known))
    assert changed == {"0.tif": -3.0, "1.tif": -2.0, "2.tif": -1.0, "4.tif": -1.0}


def test_only_what_differs_from_what_the_server_has_is_told() -> None:
    prioritiser = Prioritiser(near_the_best)
    prioritiser.confirm(prioritiser.first([image(0), image(1), image(2)], {}))
    known = {"1.tif": result(1, 0.5)}
    changed = eventually(lambda: prioritiser.changed(["0.tif", "2.tif"], known))
    # Not confirmed, so told again: the call that should have sent it may have failed.
    assert eventually(lambda: prioritiser.changed(["0.tif", "2.tif"], known)) == changed
    prioritiser.confirm(changed)
    known["0.tif"] = result(0, 0.9)
    assert eventually(lambda: prioritiser.changed(["2.tif"], known)) == {"2.tif": -2.0}


def test_images_that_were_found_later_are_known_too() -> None:
    prioritiser = Prioritiser(lambda _image, known: len(known.images))
    assert prioritiser.first([image(0)], {}) == {"0.tif": 1.0}
    assert prioritiser.first([image(1), image(2)], {}) == {"1.tif": 3.0, "2.tif": 3.0}


def test_images_of_an_earlier_run_are_known_and_sent_only_if_their_priority_changed() -> None:
    wanted = {"0.tif": 5.0, "1.tif": 1.0}
    prioritiser = Prioritiser(lambda image, known: wanted[image.source_id] + len(known.images))
    prioritiser.join(image(0), 7.0)
    prioritiser.join(image(1), 2.0)
    assert eventually(lambda: prioritiser.changed(["0.tif", "1.tif"], {})) == {"1.tif": 3.0}


def test_a_slow_function_is_given_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("haste_client.priorities.time.monotonic", lambda: clock[0])

    def slow(view: ImageView, _known: Known) -> float:
        clock[0] += 1.0
        return clock[0]

    prioritiser = Prioritiser(slow)
    prioritiser.first([image(0)], {})
    assert prioritiser.changed(["0.tif"], {}) == {}
    clock[0] += 10
    assert prioritiser.changed(["0.tif"], {}) != {}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_priority_must_be_a_number(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"0\.tif"):
        Prioritiser(lambda _image, _known: wrong).first([image(0)], {})


def eventually(ask: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Ask again while the prioritiser rests, which it does for microseconds here."""
    for _ in range(100_000):
        if answer := ask():
            return answer
    raise AssertionError("no answer came")
