from pathlib import Path

from haste_client.directory import ImageFile
from haste_client.settling import Settling


def image(size_bytes: int, name: str = "a.tif") -> ImageFile:
    return ImageFile(Path("/plate") / name, name, size_bytes, 1000 + size_bytes)


def whole(_path: Path) -> None:
    return None


def test_a_file_is_complete_once_it_has_rested() -> None:
    settling = Settling(2.0, examine=whole)
    settling.saw(image(10), 100.0)
    assert settling.complete(101.9, at_most=9) == []
    settling.saw(image(10), 101.9)
    assert settling.complete(102.0, at_most=9) == []  # it may have changed since
    settling.saw(image(10), 102.0)
    assert settling.complete(102.0, at_most=9) == [image(10)]
    settling.saw(image(10), 103.0)
    assert settling.complete(110.0, at_most=9) == []


def test_a_file_that_grows_starts_its_rest_again() -> None:
    settling = Settling(2.0, examine=whole)
    settling.saw(image(10), 100.0)
    settling.saw(image(20), 101.0)
    settling.saw(image(20), 102.5)
    assert settling.complete(102.5, at_most=9) == []
    settling.saw(image(20), 103.0)
    assert settling.complete(103.0, at_most=9) == [image(20)]


def test_a_file_that_was_renamed_into_place_rests_for_some_tenths_of_a_second() -> None:
    settling = Settling(2.0, examine=whole)
    settling.renamed(image(10), 100.0)
    settling.saw(image(10), 100.2)
    assert settling.complete(100.2, at_most=9) == []
    settling.saw(image(10), 100.4)
    assert settling.complete(100.4, at_most=9) == [image(10)]


def test_a_renamed_file_that_grows_rests_like_any_other() -> None:
    settling = Settling(2.0, examine=whole)
    settling.renamed(image(10), 100.0)
    settling.saw(image(20), 100.2)
    settling.saw(image(20), 102.1)
    assert settling.complete(102.1, at_most=9) == []
    settling.saw(image(20), 102.2)
    assert settling.complete(102.2, at_most=9) == [image(20)]


def test_a_changed_file_is_complete_again() -> None:
    settling = Settling(0.0, examine=whole)
    settling.saw(image(10), 100.0)
    assert settling.complete(100.0, at_most=9) == [image(10)]
    settling.saw(image(20), 200.0)
    assert settling.complete(200.0, at_most=9) == [image(20)]


def test_an_unfinished_image_is_looked_into_ever_more_rarely() -> None:
    looks = []

    def lacking(path: Path) -> str:
        looks.append(path)
        return "page 2 is missing"

    settling = Settling(1.0, examine=lacking)
    settling.saw(image(10), 0.0)
    assert not settling.at_rest
    for second in range(600):
        settling.saw(image(10), float(second))
        assert settling.complete(float(second), at_most=9) == []
    assert settling.at_rest
    assert 10 <= len(looks) <= 20
    assert settling.unfinished(600.0)[0].lacks == "page 2 is missing"
    assert settling.unfinished(600.0)[0].unchanged_s == 600.0


def test_an_unfinished_image_is_complete_when_its_rest_has_come() -> None:
    lacks: list[str | None] = ["its end is missing", None]
    settling = Settling(1.0, examine=lambda _path: lacks.pop(0))
    settling.saw(image(10), 0.0)
    settling.saw(image(10), 1.0)
    assert settling.complete(1.0, at_most=9) == []
    settling.saw(image(20), 5.0)
    settling.saw(image(20), 6.0)
    assert settling.complete(6.0, at_most=9) == [image(20)]
    assert settling.unfinished(6.0) == []


def test_a_file_that_cannot_be_opened_is_tried_again() -> None:
    def locked(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    settling = Settling(0.0, examine=locked)
    settling.saw(image(10), 0.0)
    assert settling.complete(0.0, at_most=9) == []
    assert settling.unfinished(0.0)[0].lacks == "it cannot be opened: Permission denied"


def test_a_file_that_was_gone_is_new() -> None:
    settling = Settling(0.0, examine=whole)
    settling.saw(image(10), 0.0)
    settling.complete(0.0, at_most=9)
    settling.forget(settling.names)
    settling.saw(image(10), 1.0)
    assert settling.complete(1.0, at_most=9) == [image(10)]


def test_files_come_in_batches() -> None:
    settling = Settling(0.0, examine=whole)
    for number in range(5):
        settling.saw(image(10, f"{number}.tif"), 0.0)
    assert [len(settling.complete(0.0, at_most=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_of_many_that_wait_only_some_are_looked_at_and_all_become_complete() -> None:
    settling = Settling(2.0, examine=whole)
    for number in range(100):
        settling.saw(image(10, f"{number}.tif"), 0.0)
    assert len(settling.to_look_at(1.0, at_most=10)) == 10
    settling.saw(image(10, "growing.tif"), 1.5)
    reported = []
    for look in range(11):
        now_s = 2.0 + look
        looked_at = settling.to_look_at(now_s, at_most=10)
        assert len(looked_at) <= 10
        for name in looked_at:
            settling.saw(image(10, name), now_s)
        reported += settling.complete(now_s, at_most=10)
    assert [file.source_id for file in reported] == [*(f"{n}.tif" for n in range(100)), "growing.tif"]
    assert settling.to_look_at(20.0, at_most=10) == []
