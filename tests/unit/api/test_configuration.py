"""A server's settings."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from haste_core.errors import InvalidError
from haste_runtime.tiers import PosixTier, TrashTier
from haste_server.cli import app
from haste_server.configuration import explain, explained, load_settings
from haste_server.settings import ServerSettings


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServerSettings.model_fields:
        monkeypatch.delenv(f"HASTE_{name.upper()}", raising=False)


def problems(config: Path | None = None, **given: object) -> dict[str, str]:
    with pytest.raises(InvalidError) as caught:
        load_settings(config, **given)
    return {problem.where: problem.what for problem in caught.value.problems}


def test_command_line_overrules_environment_overrules_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("port: 1\nsite: FromFile\nthreads: 9\nmax_uploads: 3\n")
    monkeypatch.setenv("HASTE_PORT", "2")
    monkeypatch.setenv("HASTE_SITE", "from-environment")
    monkeypatch.setenv("HASTE_ROOTS", '{"NAS": "/mnt/nas"}')
    monkeypatch.setenv("HASTE_SERVER_URL", "http://the-client-reads-this")

    loaded = load_settings(config, port=3, host=None)

    settings = loaded.settings
    assert (settings.port, settings.site, settings.threads) == (3, "from-environment", 9)
    assert settings.roots == {"nas": Path("/mnt/nas")}
    assert settings.host == "127.0.0.1"
    assert loaded.origins["port"] == "command line"
    assert loaded.origins["site"] == "environment HASTE_SITE"
    assert loaded.origins["threads"] == str(config)
    assert "host" not in loaded.origins


def test_everything_wrong_is_told_together(tmp_path: Path) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("prot: 1\nthreads: many\n")

    found = problems(config, port=70_000, database_url="postgresql://x", broker_url="http://x")

    assert set(found) == {"prot", "threads", "port", "database_url", "broker_url"}
    assert "not a field that is known" in found["prot"]
    assert "mysql+pymysql://" in found["database_url"]


@pytest.mark.parametrize("text", ["[1, 2]", "a: b: c", "1: 2", "!!python/object:os.system {}"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "server.yaml"
    config.write_text(text)

    assert str(config) in problems(config)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.yaml") in problems(tmp_path / "none.yaml")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "microscope.example.org"])
def test_beyond_loopback_a_token_is_needed(host: str, tmp_path: Path) -> None:
    assert "a token is needed" in problems(host=host)[""]

    token_file = tmp_path / "token"
    token_file.write_text("0123456789abcdef\n")
    settings = load_settings(host=host, token_file=token_file).settings

    assert settings.read_token() == "0123456789abcdef"
    assert settings.readable_roots == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_no_token_is_needed_and_home_can_be_read(host: str) -> None:
    settings = load_settings(host=host).settings

    assert settings.read_token() is None
    assert settings.readable_roots == {"home": Path.home()}


@pytest.mark.parametrize("content", ["", "short", "with a line\nbreak in the middle", "ä" * 20])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(content, encoding="utf-8")

    with pytest.raises(InvalidError, match="token_file"):
        load_settings(token_file=token_file).settings.read_token()
    with pytest.raises(InvalidError, match="token_file"):
        load_settings(token_file=tmp_path / "none").settings.read_token()


def test_a_trusted_proxy_is_at_loopback_unless_it_is_said_where(tmp_path: Path) -> None:
    config = tmp_path / "server.yaml"
    config.write_text(
        "token: 0123456789abcdef\n"
        "trusted_proxy: {user_header: X-User, users: {ana@lab: {scopes: [submit], projects: [lab1]}}}\n"
    )

    proxy = load_settings(config).settings.trusted_proxy

    assert proxy is not None
    assert all(proxy.is_at(address) for address in ("127.0.0.1", "::1"))
    assert not any(proxy.is_at(address) for address in ("10.0.0.1", "::2", ""))
    rights = proxy.rights_of("ana@lab")
    assert rights is not None
    assert (rights.scopes, rights.projects) == (("submit",), ("lab1",))
    assert proxy.rights_of("somebody") is None


def test_a_trusted_proxy_opens_no_server_by_accident() -> None:
    proxy = {"user_header": "X-Remote-User", "users": {"*": {"scopes": ["read"]}}}
    token = {"token": "0123456789abcdef"}

    for open_server in ({}, {"open_on_loopback": True}):
        assert "trusted_proxy needs a token" in problems(trusted_proxy=proxy, **open_server)[""]
    for everywhere in ("0.0.0.0/0", "::/0"):
        found = problems(trusted_proxy=proxy | {"addresses": ["10.0.0.0/8", everywhere]}, **token)
        assert "anybody could say to be anybody" in found["trusted_proxy.addresses"]
    for nobody in ({}, {"Ana, root": {"scopes": ["read"]}}, {"ana": {"scopes": []}}, {"ana": {}}):
        assert problems(trusted_proxy=proxy | {"users": nobody}, **token)


def test_names_of_the_servers_own_roots_are_taken() -> None:
    assert "landing" in problems(roots={"landing": "/x"})["roots"]


def test_a_selector_that_is_not_there_is_named_with_those_that_are() -> None:
    assert "newest-first" in problems(selectors={"focus-score": "oldest-first"})["selectors.focus-score"]
    assert load_settings(selectors={"Focus-Score": "newest-first"}).settings.selectors == {
        "focus-score": "newest-first"
    }


def test_the_edge_chooses_for_both_keys() -> None:
    assert "both" in problems(selectors={"preprocess": "edge"})[""]
    assert "both" in problems(selectors={"preprocess": "edge", "upload": "edge", "tier": "edge"})[""]
    assert load_settings(selectors={"preprocess": "edge", "upload": "edge"}).settings.selectors


def test_somebody_works() -> None:
    assert "slots" in problems(workers=0)[""]
    assert "slots.upload" in problems(slots={"upload": 0})
    assert load_settings(workers=0, slots={"Upload": 4}).settings.slots == {"upload": 4}


def test_uploads_leave_threads_for_others() -> None:
    assert "max_uploads" in problems(threads=8, max_uploads=8)[""]


@pytest.mark.parametrize(
    ("urls", "sqlite", "distributed"),
    [
        ({}, True, False),
        ({"broker_url": "amqp://h"}, True, False),
        ({"database_url": "mysql+pymysql://h/d"}, False, False),
        ({"database_url": "sqlite:////x.db", "broker_url": "amqp://h"}, True, False),
        ({"database_url": "mysql+pymysql://h/d", "broker_url": "amqp://h"}, False, True),
    ],
)
def test_the_two_urls_choose_the_shape(urls: dict[str, str], sqlite: bool, distributed: bool) -> None:
    settings = load_settings(**urls).settings

    assert settings.uses_sqlite is sqlite
    assert settings.distributed is distributed


def test_tiers_that_pipelines_name_have_a_folder(tmp_path: Path) -> None:
    tiers = {"tierA": {"root": "/fast"}, "trash": {"driver": "trash", "grace_days": 7}}
    settings = load_settings(data_dir=tmp_path, tiers=tiers).settings

    assert settings.all_tiers(frozenset({"tierA", "tierB"})) == {
        "tierA": PosixTier(root=Path("/fast")),
        "tierB": PosixTier(root=tmp_path / "tiers" / "tierB"),
        "trash": TrashTier(driver="trash", root=tmp_path / "tiers" / "trash", grace_days=7),
    }


def test_disks_are_watched_of_folders_that_its_own_workers_use(tmp_path: Path) -> None:
    tiers = {
        "tierA": {"root": "/fast"},
        "bucket": {"driver": "s3", "bucket": "plates"},
        "trash": {"driver": "trash"},
    }
    own = load_settings(data_dir=tmp_path, tiers=tiers).settings
    others = load_settings(data_dir=tmp_path, tiers=tiers, broker_url="amqp://h").settings

    folder = tmp_path / "tiers"
    assert own.watched_folders(frozenset({"tierA", "tierB"})) == {
        "tierA": Path("/fast"),
        "tierB": folder / "tierB",
        "trash": folder / "trash",
    }
    assert others.watched_folders(frozenset({"tierA"})) == {}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql+pymysql://haste:secret@db/haste", "mysql+pymysql://haste:***@db/haste"),
        ("mysql+pymysql://haste:se:c%40r/et@db:3306/haste", "mysql+pymysql://haste:***@db:3306/haste"),
        ("mysql+pymysql://db/haste", "mysql+pymysql://db/haste"),
    ],
)
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    loaded = load_settings(database_url=url, token="0123456789abcdef")

    explanation = explain(loaded)
    told = json.dumps(explained(loaded))

    assert f"database_url: {shown}  # command line" in explanation
    assert "token: '***'  # command line" in explanation
    assert "0123456789abcdef" not in explanation + told
    assert explained(loaded)["database_url"] == {"value": shown, "origin": "command line"}
    assert "secret" not in repr(loaded)
    for name in ServerSettings.model_fields:
        assert f"\n{name}: " in f"\n{explanation}"


def test_programs_are_told_the_settings_as_json(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["--port", "7", "--data-dir", str(tmp_path), "check-config", "--json"])
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    assert answer["settings"]["port"] == {"value": 7, "origin": "command line"}
    assert answer["settings"]["site"]["origin"] == "default"
    assert set(answer["settings"]) == set(ServerSettings.model_fields)
    assert answer["shape"] == "one process"
    assert "focus-tier" in answer["pipelines"]


def test_folders_that_are_not_there_are_told_with_the_settings(tmp_path: Path) -> None:
    (tmp_path / "plates").mkdir()
    settings = {
        "data_dir": tmp_path,
        "roots": {"plates": tmp_path / "plates", "typed": tmp_path / "plaets"},
        "tiers": {"tierA": {"root": str(tmp_path / "plates")}, "tierB": {"root": str(tmp_path / "away")}},
    }
    told = load_settings(**settings).settings.missing_folders()
    assert [text.split(";")[0] for text in told] == [
        f"the folder of root typed is not there: {tmp_path / 'plaets'}",
        f"the folder of tier tierB is not there: {tmp_path / 'away'}",
    ]
    apart = load_settings(**settings, broker_url="amqp://haste:secret@localhost/haste").settings
    assert apart.missing_folders() == []

    root = ["--data-dir", str(tmp_path), "--root", f"typed={tmp_path / 'plaets'}"]
    shown = CliRunner().invoke(app, [*root, "check-config"])
    assert "Warning: the folder of root typed is not there" in shown.output
    assert shown.exit_code == 0


def test_an_explanation_is_a_file_of_settings(tmp_path: Path) -> None:
    tiers = {"tierA": {"root": "/mnt/a", "quota": 5, "next": "old"}, "old": {"driver": "trash"}}
    loaded = load_settings(tiers=tiers, data_dir=tmp_path)
    config = tmp_path / "server.yaml"
    config.write_text(explain(loaded))

    assert "tiers: {tierA: {quota: 5, next: old, root: /mnt/a}, old: {driver: trash}}" in config.read_text()
    assert load_settings(config).settings == loaded.settings


def test_the_shipped_file_is_the_default_and_names_every_setting() -> None:
    path = Path(str(files("haste_config") / "server.yaml"))

    assert load_settings(path).settings == load_settings().settings
    text = path.read_text(encoding="utf-8")
    missing = [name for name in ServerSettings.model_fields if f"{name}:" not in text]
    assert missing == []


def test_every_setting_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs" / "configuration.md"

    text = page.read_text(encoding="utf-8")

    assert [name for name in ServerSettings.model_fields if f"`{name}`" not in text] == []
