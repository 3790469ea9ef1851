"""What tiers promise when something goes wrong: nothing is lost or doubled, and it is said what is wrong."""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from haste_core.errors import PermanentError, SourceDeniedError, TransientError
from haste_runtime.tiers import S3Tier
from haste_workers.fetching import Access, fetch
from tests.contract.tier_bench import (
    PIECE_BYTES,
    S3Bench,
    SwiftBench,
    TierBench,
    opened,
    put_command,
    read_back,
)
from tests.integration.tcp_proxy import TcpProxy
from tests.services.process import free_port

Remote = S3Bench | SwiftBench

_LARGE_BYTES = 2 * PIECE_BYTES + 1000  # three parts, or segments
_PATIENCE_S = 30


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.tif"
    path.write_bytes(os.urandom(1000) * (_LARGE_BYTES // 1000))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.tif"
    path.write_bytes(b"pixels")
    return path


def assert_one_whole(area: TierBench, source: Path) -> None:
    stored = opened(area.tier).put(source, stream_id="s", source_id="a.tif")
    assert area.names() == {"s/a.tif"}
    assert len(area.stamps()) == 1
    told = hashlib.sha256(source.read_bytes()).hexdigest()
    assert stored.sha256 == told == hashlib.sha256(read_back(stored, area.tier)).hexdigest()


def test_killed_put_leaves_nothing_under_the_name_and_can_be_repeated(area: TierBench, large: Path) -> None:
    os.truncate(large, 40_000_000)  # three of the parts that programs make
    program, settings = put_command(area.tier)
    with subprocess.Popen([sys.executable, "-c", program, str(large)], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(settings.encode())
        process.stdin.close()
        deadline = time.monotonic() + _PATIENCE_S
        while not area.begun():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.kill()
    assert area.names() <= {"s/a.tif"}  # it may have been quicker, and then it is whole
    assert_one_whole(area, large)


class TestConnections:
    @pytest.mark.parametrize("size_bytes", [6, _LARGE_BYTES])
    def test_cut_at_any_moment(self, remote: Remote, proxy: TcpProxy, large: Path, size_bytes: int) -> None:
        os.truncate(large, size_bytes)
        began = time.monotonic()
        opened(remote.tier).put(large, stream_id="measured", source_id="a.tif")
        took_s = time.monotonic() - began
        for fifth in range(5):
            source = large.with_name(f"{fifth}.tif")
            source.write_bytes(bytes([fifth]) + large.read_bytes()[1:])
            name = f"{fifth}.tif"
            cut = threading.Timer(took_s * fifth / 5, proxy.cut)
            cut.start()
            with contextlib.suppress(TransientError):
                opened(remote.tier).put(source, stream_id="s", source_id=name)
            cut.join()
            stored = opened(remote.tier).put(source, stream_id="s", source_id=name)
            assert read_back(stored, remote.tier) == source.read_bytes()
        assert remote.names() == {"measured/a.tif"} | {f"s/{fifth}.tif" for fifth in range(5)}
        assert len(remote.stamps()) == 6

    def test_cut_all_the_time_is_passing_trouble(self, remote: Remote, proxy: TcpProxy, large: Path) -> None:
        done = threading.Event()

        def cut() -> None:
            while not done.wait(0.005):
                proxy.cut()

        cutting = threading.Thread(target=cut)
        cutting.start()
        try:
            with pytest.raises(TransientError, match="s/a"):
                opened(remote.tier).put(large, stream_id="s", source_id="a.tif")
        finally:
            done.set()
            cutting.join()
        assert_one_whole(remote, large)

    def test_server_that_is_away_is_passing_trouble(self, remote: Remote, small: Path) -> None:
        setting = "endpoint_url" if isinstance(remote.tier, S3Tier) else "auth_url"
        away = remote.tier.model_copy(update={setting: f"http://127.0.0.1:{free_port()}"})
        with pytest.raises(TransientError, match="cannot be reached now"):
            opened(away).put(small, stream_id="s", source_id="a.tif")
        with pytest.raises(TransientError, match="cannot be reached now"):
            opened(away).try_writing()


class TestRefusals:
    def test_bucket_that_is_gone(self, remote: Remote, small: Path, large: Path) -> None:
        remote.remove()
        for source in (small, large):
            with pytest.raises(PermanentError, match=r"bucket|container") as caught:
                opened(remote.tier).put(source, stream_id="s", source_id="a.tif")
            assert "correct `" in str(caught.value)
        with pytest.raises(PermanentError, match="correct `"):
            opened(remote.tier).try_writing()

    @pytest.mark.parametrize("wrong", ["user", "key"])
    def test_wrong_right_is_told_without_the_secret(
        self, remote: Remote, small: Path, tmp_path: Path, wrong: str
    ) -> None:
        settings = remote.tier.model_dump()
        names = {"user": "access_key_id", "key": "secret_access_key"}
        name = names[wrong] if isinstance(remote.tier, S3Tier) else wrong
        tier = type(remote.tier)(**{**settings, name: "hush-hush"})
        with pytest.raises(PermanentError) as caught:
            opened(tier).put(small, stream_id="s", source_id="a.tif")
        assert "s/a" in str(caught.value)
        assert ("hush" in str(caught.value)) <= (wrong == "user")
        with pytest.raises(PermanentError):
            opened(tier).try_writing()
        with pytest.raises(SourceDeniedError):
            fetch(f"{remote.url}/s/a.tif", tmp_path, Access(buckets={}, tiers=[tier]))
        assert remote.names() == set()

    def test_container_that_is_full_waits_for_space(self, remote: Remote, small: Path, large: Path) -> None:
        if not isinstance(remote, SwiftBench):
            pytest.skip("the buckets of these servers have no limit")
        remote.limit(1000)
        assert_one_whole(remote, small)
        with pytest.raises(TransientError, match="is full"):
            opened(remote.tier).put(large, stream_id="s", source_id="b.tif")
        assert_one_whole(remote, small)
