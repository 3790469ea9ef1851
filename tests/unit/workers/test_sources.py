"""Sources: found through the site's roots, and nowhere else."""

import os
from pathlib import Path

import pytest

from haste_core.errors import (
    BadInputError,
    PermanentError,
    SourceDeniedError,
    SourceMissingError,
    TransientError,
)
from haste_core.routing import Roots
from haste_workers.context import TaskContext
from haste_workers.settings import WorkerSettings
from haste_workers.sources import local_path, readable_roots
from tests.unit.workers.messages import task_message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "nas"
    (folder / "plate7").mkdir(parents=True)
    (folder / "plate7" / "A 01.tif").write_bytes(b"pixels")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def roots(folder: Path) -> Roots:
    return Roots.parse({"nas": folder})


class TestLocalSources:
    def test_root_and_file_urls(self, folder: Path, roots: Roots) -> None:
        path = folder / "plate7" / "A 01.tif"
        for url in ("root://nas/plate7/A%2001.tif", "root://NAS/plate7/A%2001.tif", path.as_uri()):
            assert local_path(url, roots) == path

    def test_folders_are_objects_too(self, folder: Path, roots: Roots) -> None:
        assert local_path("root://nas/plate7", roots) == folder / "plate7"

    @pytest.mark.parametrize(
        "url",
        [
            "root://nas/../secret.txt",
            "root://nas/plate7/../../secret.txt",
            "root://nas/%2e%2e/secret.txt",
            "root://other/x.tif",
            "root://nas//etc/passwd/../../../../secret.txt",
            "file:///etc/passwd",
            "file://server/share/x.tif",
            "root://nas/nul%00.tif",
            "ftp://nas/x.tif",
        ],
    )
    def test_what_leaves_the_roots_is_denied(self, roots: Roots, url: str) -> None:
        with pytest.raises(SourceDeniedError):
            local_path(url, roots)

    def test_denial_says_what_may_be_read_and_how_to_allow_more(self, roots: Roots, folder: Path) -> None:
        with pytest.raises(SourceDeniedError) as denied:
            local_path("file:///elsewhere/x.tif", roots)
        assert f"nas={folder}" in str(denied.value)
        assert "--root NAME=FOLDER" in str(denied.value)

    def test_denial_names_no_folder_of_the_programs_own(self, folder: Path, tmp_path: Path) -> None:
        settings = WorkerSettings(
            work_dir=tmp_path / "work",
            roots={"nas": folder, "landing": tmp_path / "landing"},
            tiers={"tierA": {"root": tmp_path / "best"}, "tierB": {"root": tmp_path / "good"}},
        )
        (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
        roots = readable_roots(settings)
        for url in ("file:///elsewhere/x.tif", "root://gone/x.tif", "root://nas/out.txt"):
            with pytest.raises(SourceDeniedError) as denied:
                local_path(url, roots)
            said = str(denied.value)
            assert f"may be read here (nas={folder})" in said
            assert "--root NAME=FOLDER" in said
            assert not any(word in said for word in ("tier", "landing", "work="))

    def test_denial_without_any_folder_says_so(self, tmp_path: Path) -> None:
        roots = readable_roots(WorkerSettings(work_dir=tmp_path / "work"))
        with pytest.raises(SourceDeniedError, match=r"may be read here \(none\)"):
            local_path("file:///elsewhere/x.tif", roots)

    def test_what_was_put_to_a_tier_may_be_read_beside_any_root(self, folder: Path, tmp_path: Path) -> None:
        stored = tmp_path / "best" / "A01.tif"
        stored.parent.mkdir()
        stored.write_bytes(b"pixels")
        tiers = {"tierA": {"root": stored.parent}}
        roots = readable_roots(
            WorkerSettings(work_dir=tmp_path / "work", roots={"tier-0": folder}, tiers=tiers)
        )
        assert local_path(stored.as_uri(), roots) == stored
        assert local_path("root://tier-0/plate7", roots) == folder / "plate7"

    def test_link_out_is_denied_and_link_within_is_followed(
        self, folder: Path, roots: Roots, tmp_path: Path
    ) -> None:
        (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
        (folder / "within.tif").symlink_to(folder / "plate7" / "A 01.tif")
        (folder / "up").symlink_to(tmp_path)
        (folder / "loop").symlink_to(folder / "loop")
        for name in ("out.txt", "up/secret.txt", "loop"):
            with pytest.raises(SourceDeniedError):
                local_path(f"root://nas/{name}", roots)
        assert local_path("root://nas/within.tif", roots) == folder / "plate7" / "A 01.tif"

    def test_root_that_is_a_link_itself(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "alias").symlink_to(folder)
        found = local_path("root://nas/plate7/A%2001.tif", Roots.parse({"nas": tmp_path / "alias"}))
        assert found == folder / "plate7" / "A 01.tif"

    def test_missing_file_is_named(self, folder: Path, roots: Roots) -> None:
        with pytest.raises(SourceMissingError, match=str(folder / "plate7" / "B01.tif")):
            local_path("root://nas/plate7/B01.tif", roots)
        with pytest.raises(SourceMissingError):
            local_path("root://nas/plate7/A%2001.tif/deeper.tif", roots)

    def test_name_that_no_disk_can_hold_is_a_missing_file(self, roots: Roots) -> None:
        with pytest.raises(SourceMissingError, match="the name is too long"):
            local_path(f"root://nas/plate7/{'x' * 300}.tif", roots)

    def test_share_that_is_not_mounted_is_passing_trouble(self, tmp_path: Path) -> None:
        with pytest.raises(TransientError, match="is the share mounted"):
            local_path("root://nas/x.tif", Roots.parse({"nas": tmp_path / "gone"}))

    def test_fifo_is_refused_at_once(self, folder: Path, roots: Roots) -> None:
        os.mkfifo(folder / "fifo.tif")
        with pytest.raises(BadInputError, match="neither a file nor a folder"):
            local_path("root://nas/fifo.tif", roots)


class TestContext:
    def context(self, tmp_path: Path, **message: object) -> TaskContext:
        settings = WorkerSettings(work_dir=tmp_path / "work", site="lab1", roots={"nas": tmp_path / "nas"})
        return TaskContext(
            task_message(7, **message),
            settings=settings,
            scratch=tmp_path / "scratch",
            on_progress=lambda *_: None,
        )

    def test_output_folder_is_kept_below_the_work_folder(self, tmp_path: Path) -> None:
        context = self.context(tmp_path, source_id="plate7/../A01.tif")
        assert context.output_dir.is_dir()
        assert context.output_dir.is_relative_to(tmp_path / "work" / "output" / "plate7")
        assert self.context(tmp_path, source_id="plate7/../A01.tif").output_dir == context.output_dir

    def test_places_are_told_by_the_names_that_all_sites_know(self, tmp_path: Path, folder: Path) -> None:
        context = self.context(tmp_path)
        own = context.output_dir / "mask.tif"
        own.write_bytes(b"mask")
        assert context.place_of(own).url.startswith("root://work/output/plate7/")
        place = context.place_of(folder / "plate7" / "A 01.tif")
        assert (place.url, place.site, place.size_bytes) == ("root://nas/plate7/A%2001.tif", "lab1", 6)
        assert local_path(context.place_of(own).url, context.roots) == own

    def test_progress_beyond_its_range_is_a_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(PermanentError, match=r"\[0, 1\]"):
            self.context(tmp_path).progress(50)
