"""Sources on the web: fetched whole from where they may be fetched, or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from haste_core.errors import (
    BadInputError,
    PermanentError,
    SourceDeniedError,
    SourceMissingError,
    TransientError,
)
from haste_core.routing import Roots
from haste_workers.context import TaskContext
from haste_workers.fetching import Access, fetch, local_file
from haste_workers.imaging.read import read_image
from haste_workers.settings import WorkerSettings
from tests.unit.workers.bench import cells
from tests.unit.workers.messages import task_message
from tests.unit.workers.web_server import BODY, WebServer

HERE = Access(hosts=("127.0.0.1",), limit_bytes=10**6)


class TestInAWorker:
    def context(self, url: str, tmp_path: Path, **allowed: Any) -> TaskContext:
        settings = WorkerSettings(work_dir=tmp_path / "work", **allowed)
        return TaskContext(
            task_message(url=url),
            settings=settings,
            scratch=tmp_path / "scratch",
            on_progress=lambda *_: None,
        )

    def test_allowed_host_is_downloaded_to_the_temporary_folder(self, web: WebServer, tmp_path: Path) -> None:
        context = self.context(f"{web.url}/plate7/200.tif", tmp_path, http_hosts=("127.0.0.1",))
        path = context.source_path()
        assert path.read_bytes() == BODY
        assert path.suffix == ".tif"
        assert path.is_relative_to(context.temp_dir)

    def test_limit_is_that_of_the_settings(self, web: WebServer, tmp_path: Path) -> None:
        allowed = {"http_hosts": ("127.0.0.1",), "download_limit_bytes": 999}
        with pytest.raises(BadInputError, match="larger than 999 bytes"):
            self.context(f"{web.url}/200.tif", tmp_path, **allowed).source_path()

    def test_no_host_and_no_bucket_is_allowed_by_default(self, tmp_path: Path) -> None:
        for url, said in (
            ("http://127.0.0.1:9/x.tif", r"'127\.0\.0\.1' here; .* `http_hosts:`"),
            ("s3://plates/x.tif", "bucket 'plates' here; .* `s3_buckets:`"),
        ):
            with pytest.raises(SourceDeniedError, match=said):
                self.context(url, tmp_path).source_path()


class TestHosts:
    def test_host_that_is_not_allowed_is_not_asked(self, web: WebServer, tmp_path: Path) -> None:
        with pytest.raises(SourceDeniedError, match="http_hosts"):
            fetch(f"{web.url}/200.tif", tmp_path, Access(hosts=()))
        assert web.asked == []

    @pytest.mark.parametrize(
        "disguise", ["{web}\\@images.lab.example/200.tif", "http://images.lab.example@{address}/200.tif"]
    )
    def test_host_that_is_checked_is_the_host_that_is_asked(
        self, web: WebServer, tmp_path: Path, disguise: str
    ) -> None:
        url = disguise.format(web=web.url, address=web.url.removeprefix("http://"))
        with pytest.raises(SourceDeniedError, match=r"downloaded from '127\.0\.0\.1'"):
            fetch(url, tmp_path, Access(hosts=("images.lab.example",)))

    @pytest.mark.parametrize("url", ["http:///200.tif", "http://[::1/200.tif"])
    def test_url_without_a_host_is_denied(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(SourceDeniedError, match="cannot be downloaded"):
            fetch(url, tmp_path, Access(hosts=("",)))

    def test_this_machine_is_not_asked_through_a_proxy(
        self, web: WebServer, tmp_path: Path, proxy_that_is_away: None
    ) -> None:
        assert fetch(f"{web.url}/200.tif", tmp_path, HERE).read_bytes() == BODY


class TestAnswers:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (302, PermanentError),
            (401, SourceDeniedError),
            (403, SourceDeniedError),
            (404, SourceMissingError),
            (418, PermanentError),
            (429, TransientError),
            (503, TransientError),
        ],
    )
    def test_statuses(self, web: WebServer, tmp_path: Path, status: int, error: type[Exception]) -> None:
        with pytest.raises(error, match=str(status)) as caught:
            fetch(f"{web.url}/{status}.tif", tmp_path, HERE)
        assert type(caught.value) is error

    def test_redirect_is_not_followed_but_told_without_its_key(self, web: WebServer, tmp_path: Path) -> None:
        with pytest.raises(PermanentError, match=r"points to http://169\.254\.169\.254/secret;") as caught:
            fetch(f"{web.url}/302.tif", tmp_path, HERE)
        assert "hush" not in str(caught.value)

    def test_server_that_is_away_is_passing_trouble(self, tmp_path: Path) -> None:
        with pytest.raises(TransientError):
            fetch("http://127.0.0.1:9/x.tif", tmp_path, HERE)

    @pytest.mark.parametrize("name", ["cut.tif", "chunks-cut.tif"])
    def test_body_that_is_cut_is_passing_trouble(self, web: WebServer, tmp_path: Path, name: str) -> None:
        with pytest.raises(TransientError, match="cannot be fetched now"):
            fetch(f"{web.url}/{name}", tmp_path, HERE)

    def test_server_that_falls_silent_is_passing_trouble(
        self, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("haste_workers.web.READ_TIMEOUT_S", 0.1)
        with pytest.raises(TransientError, match="timed out"):
            fetch(f"{web.url}/stalled.tif", tmp_path, HERE)

    def test_body_whose_end_is_not_told_is_refused(self, web: WebServer, tmp_path: Path) -> None:
        with pytest.raises(PermanentError, match="neither the file's size nor its end"):
            fetch(f"{web.url}/untold.tif", tmp_path, HERE)

    def test_body_that_is_packed_on_the_way_is_refused(self, web: WebServer, tmp_path: Path) -> None:
        with pytest.raises(PermanentError, match="Content-Encoding: gzip"):
            fetch(f"{web.url}/packed.tif", tmp_path, HERE)

    def test_chunks_to_the_end_are_a_whole_file(self, web: WebServer, tmp_path: Path) -> None:
        assert fetch(f"{web.url}/chunks.tif", tmp_path, HERE).read_bytes() == 3 * BODY


class TestLimit:
    def test_what_is_told_to_be_larger_is_refused_before_it_comes(
        self, web: WebServer, tmp_path: Path
    ) -> None:
        with pytest.raises(BadInputError, match="download_limit_bytes"):
            fetch(f"{web.url}/vast.tif", tmp_path, HERE)
        assert list(tmp_path.iterdir()) == []

    def test_what_turns_out_larger_is_refused_while_it_comes(
        self, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("haste_workers.web.CHUNK_BYTES", 100)
        with pytest.raises(BadInputError, match="larger than 2999 bytes"):
            fetch(f"{web.url}/chunks.tif", tmp_path, Access(limit_bytes=2999))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2999

    def test_limit_itself_is_allowed(self, web: WebServer, tmp_path: Path) -> None:
        assert fetch(f"{web.url}/200.tif", tmp_path, Access(limit_bytes=1000)).read_bytes() == BODY
        with pytest.raises(BadInputError, match="larger than 999 bytes"):
            fetch(f"{web.url}/200.tif", tmp_path, Access(limit_bytes=999))


@pytest.mark.parametrize(
    ("path", "suffix"),
    [("a.ome.TIF", ".TIF"), ("a%20b.tif?x=y.png", ".tif"), ("a", ""), ("a.tif%00", ""), ("a.b%2Fc", "")],
)
def test_suffix_is_that_of_the_source(web: WebServer, tmp_path: Path, path: str, suffix: str) -> None:
    web.files[f"/{path}"] = BODY
    assert fetch(f"{web.url}/{path}", tmp_path, HERE).name == f"source{suffix}"


class TestInOnesOwnProcess:
    def test_image_is_read_from_wherever_it_is(
        self, web: WebServer, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pixels = cells(64)
        path = tmp_path / "plate 7" / "A01.tif"
        path.parent.mkdir()
        tifffile.imwrite(path, pixels)
        web.files["/plate%207/A01.tif"] = path.read_bytes()
        monkeypatch.chdir(tmp_path)
        named = Access(roots=Roots.parse({"nas": tmp_path}))
        url = path.as_uri()
        for source in (path, str(path), "plate 7/A01.tif", url, url.replace("file", "FILE", 1)):
            assert np.array_equal(read_image(source).pixels, pixels)
        assert np.array_equal(read_image("root://nas/plate%207/A01.tif", access=named).pixels, pixels)
        image = read_image(f"{web.url}/plate%207/A01.tif")
        assert np.array_equal(image.pixels, pixels)
        assert (image.facts.format, image.facts.dtype) == ("TIFF", "uint16")
        assert list(temporary.iterdir()) == []

    def test_nothing_is_left_of_a_failure(self, web: WebServer, temporary: Path) -> None:
        for name, error in (("200.tif", BadInputError), ("cut.tif", TransientError)):
            with pytest.raises(error):
                read_image(f"{web.url}/{name}")
        assert list(temporary.iterdir()) == []

    def test_limit_holds(self, web: WebServer) -> None:
        with pytest.raises(BadInputError, match="larger than 999 bytes"):
            read_image(f"{web.url}/200.tif", access=Access(limit_bytes=999))
        with pytest.raises(BadInputError, match="larger than 2147483648 bytes"):
            read_image(f"{web.url}/vast.tif")

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("root://nas/A01.tif", r"no root 'nas' .*Roots\.parse"),
            ("root://[nas/A01.tif", "or give the file's path"),
            ("ftp://nas/A01.tif", "file, http, https, root, s3"),
        ],
    )
    def test_url_that_means_nothing_here(self, source: str, said: str) -> None:
        with pytest.raises(SourceDeniedError, match=said):
            read_image(source)

    def test_drive_of_windows_is_no_scheme(self) -> None:
        with local_file("C://plates/A01.tif") as path:
            assert str(path) == "C:/plates/A01.tif"
