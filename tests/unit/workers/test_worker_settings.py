"""Settings: where they come from, what overrules what, and what is refused."""

import re
from pathlib import Path

import pytest
import yaml

from haste_core.errors import InvalidError
from haste_workers.handlers.registry import BUILT_IN, HandlerUnusableError, choose_handlers
from haste_workers.settings import WorkerSettings, load_settings

CONFIG = Path(__file__).resolve().parents[3] / "config" / "worker.yaml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "worker.yaml"


class TestPrecedence:
    def test_command_line_then_environment_then_file_then_default(
        self, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config.write_text("site: from-file\nheartbeat_s: 2\nconcurrency: 3\n")
        monkeypatch.setenv("HASTE_SITE", "from-environment")
        monkeypatch.setenv("HASTE_HEARTBEAT_S", "1.5")
        settings = load_settings(config, site="From-Line", concurrency=None)
        assert (settings.site, settings.heartbeat_s, settings.concurrency) == ("from-line", 1.5, 3)
        assert settings.task_timeout_s == 600

    def test_environment_holds_json_and_lists(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HASTE_ROOTS", '{"nas": "/mnt/nas"}')
        monkeypatch.setenv("HASTE_TIERS", '{"tierA": {"driver": "posix", "root": "/data/tierA"}}')
        monkeypatch.setenv("HASTE_KEYS", "focus-score,tier")
        monkeypatch.setenv("HASTE_TASK_MEMORY_BYTES", "1073741824")
        settings = load_settings()
        assert settings.roots == {"nas": Path("/mnt/nas")}
        assert settings.tiers["tierA"].root == Path("/data/tierA")
        assert settings.keys == ("focus-score", "tier")
        assert settings.task_memory_bytes == 2**30

    def test_relative_folders_are_those_of_the_current_folder(
        self, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        config.write_text("roots: {images: images}\nwork_dir: work\n")
        monkeypatch.chdir(tmp_path)
        settings = load_settings(config)
        assert (settings.roots["images"], settings.work_dir) == (tmp_path / "images", tmp_path / "work")

    def test_secrets_are_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HASTE_TOKEN", "hush-token")
        monkeypatch.setenv("HASTE_BROKER_URL", "amqp://me:hush-password@broker/v")
        settings = load_settings()
        assert settings.token is not None
        assert settings.token.get_secret_value() == "hush-token"
        assert "hush" not in f"{settings!r} {settings}"


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("heartbeats: 3", "heartbeats: is not a field that is known here"),
            ("tiers: {a: {driver: tape, root: /x}}", "tiers"),
            ("tiers: {a: {driver: posix}}", "root: is required"),
            ("site: 'no spaces please'", "is not a name"),
            ("concurrency: 0", "concurrency"),
            ("roots: {work: /x}", "is this worker's work_dir"),
            ("handlers: {mine: 'no colon'}", "handlers"),
            ("broker_url: http://broker", "amqp://"),
            ("server_url: not a url", "server_url"),
            ("- a list", "should be a mapping"),
            ("a: [unclosed", "cannot be read as YAML"),
        ],
    )
    def test_file_with_a_mistake(self, config: Path, text: str, said: str) -> None:
        config.write_text(text)
        with pytest.raises(InvalidError, match=re.escape(said)):
            load_settings(config)

    def test_all_mistakes_are_told_at_once(self, config: Path) -> None:
        config.write_text("concurrency: none\nheartbeat_s: -1\nfoo: 1\n")
        with pytest.raises(InvalidError) as caught:
            load_settings(config)
        assert {problem.where for problem in caught.value.problems} == {"concurrency", "heartbeat_s", "foo"}

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidError, match="cannot be read"):
            load_settings(tmp_path / "none.yaml")

    def test_environment_that_is_no_json(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HASTE_ROOTS", "/mnt/nas")
        with pytest.raises(InvalidError, match="roots"):
            load_settings()


HERE = {"driver": "s3", "bucket": "plates", "endpoint_url": "http://here:9000"}
SWIFT = {"driver": "swift", "container": "plates", "auth_url": "http://here/v3", "user": "a", "key": "b"}


class TestTiersThatAreToldApart:
    """An object that moved from one to the other would have the URL that it had."""

    @pytest.mark.parametrize(
        ("one", "other", "fine"),
        [
            (HERE, HERE | {"endpoint_url": "http://there:9000"}, False),
            (HERE, HERE | {"endpoint_url": None, "prefix": "haste"}, False),
            (HERE | {"prefix": "a"}, HERE | {"endpoint_url": None, "prefix": "a/b"}, False),
            (HERE | {"prefix": "a"}, HERE | {"endpoint_url": None, "prefix": "ab"}, True),
            (HERE, HERE | {"endpoint_url": None, "bucket": "others"}, True),
            (HERE, HERE | {"prefix": "haste", "region": "x"}, True),
            (SWIFT | {"project": "p"}, SWIFT | {"project": "q"}, False),
            (SWIFT | {"project": "p"}, SWIFT | {"project": "p", "user": "c"}, True),
            (HERE, SWIFT, True),
        ],
    )
    def test_by_bucket_or_prefix(
        self, config: Path, one: dict[str, str], other: dict[str, str], fine: bool
    ) -> None:
        config.write_text(yaml.safe_dump({"tiers": {"hot": one, "cold": other}}))
        if fine:
            assert set(load_settings(config).tiers) == {"hot", "cold"}
            return
        with pytest.raises(InvalidError, match="cold and hot are both in 'plates', on different servers"):
            load_settings(config)


class TestExampleFile:
    def test_is_valid_and_shows_the_defaults(self) -> None:
        assert load_settings(CONFIG) == load_settings()

    def test_tells_of_every_setting(self) -> None:
        names = set(re.findall(r"^(?:# )?(\w+):", CONFIG.read_text(), re.MULTILINE))
        # The token is told of in prose: it does not belong in a file.
        assert set(WorkerSettings.model_fields) - {"token"} <= names

    def test_commented_examples_are_valid_too(self, config: Path) -> None:
        text = re.sub(r"^# (?=\w+: \S+$)|^#(?=  \w)", "", CONFIG.read_text(), flags=re.MULTILINE)
        uncommented = re.sub(r"^(\w+): \{\}\n(?=  )", r"\1:\n", text, flags=re.MULTILINE)
        config.write_text(uncommented)
        given = yaml.safe_load(uncommented)
        assert [tier["driver"] for tier in given["tiers"].values()] == ["posix", "s3", "swift", "trash"]
        assert given["handlers"] == {"count-cells": "my_lab.cells:count_cells"}
        assert load_settings(config).prefetch == 50


class TestKeys:
    def test_all_usable_handlers_without_keys(self, tmp_path: Path) -> None:
        bare = WorkerSettings(work_dir=tmp_path)
        assert set(choose_handlers(bare)) == {"preprocess", "focus-score", "tier"}
        equipped = WorkerSettings(
            server_url="http://127.0.0.1:5510", programs={"fiji": "/opt/fiji"}, handlers={"mine": "m:f"}
        )
        assert set(choose_handlers(equipped)) == set(BUILT_IN) | {"mine"}

    def test_only_the_keys_that_were_asked_for(self) -> None:
        chosen = choose_handlers(WorkerSettings(keys="Focus-Score,mine", handlers={"mine": "m:f"}))
        assert chosen == {"focus-score": BUILT_IN["focus-score"], "mine": "m:f"}

    def test_own_handler_replaces_a_built_in_one(self) -> None:
        settings = WorkerSettings(keys="upload", handlers={"upload": "m:f"})
        assert choose_handlers(settings) == {"upload": "m:f"}

    def test_some_are_left_to_other_workers(self) -> None:
        assert set(choose_handlers(WorkerSettings(without_keys="Tier,upload"))) == {
            "preprocess",
            "focus-score",
        }
        assert set(choose_handlers(WorkerSettings(keys="tier,preprocess", without_keys="tier"))) == {
            "preprocess"
        }

    @pytest.mark.parametrize(
        ("keys", "said"),
        [("deblur", "no handler for 'deblur'"), ("upload", "--server-url"), ("command", "programs")],
    )
    def test_unusable_keys_are_refused(self, keys: str, said: str) -> None:
        with pytest.raises(HandlerUnusableError, match=said):
            choose_handlers(WorkerSettings(keys=keys))


def test_prefetch_keeps_every_slot_busy_but_little_more() -> None:
    assert WorkerSettings(concurrency=2).prefetch_for(queues=3) == 12
    assert WorkerSettings(concurrency=64).prefetch_for(queues=3) == 100
    assert WorkerSettings(concurrency=2, prefetch=50).prefetch_for(queues=3) == 50
