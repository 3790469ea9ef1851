import sys
from pathlib import Path, PureWindowsPath

import pytest

from haste_client.settings import DEFAULT_SERVER_URL, load_settings
from haste_core.errors import InvalidError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("HASTE_SERVER_URL", "HASTE_TOKEN", "HASTE_ROOTS"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "client.yaml"
    monkeypatch.setenv("HASTE_CLIENT_CONFIG", str(path))
    return path


def test_without_any_setting_the_server_is_on_this_machine() -> None:
    assert load_settings().server_url == DEFAULT_SERVER_URL
    assert load_settings().token is None


def test_arguments_beat_environment_beats_file(no_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_settings.write_text("server_url: http://file:1\ntoken: from-file\nroots: {nas: /mnt/nas}\n")
    monkeypatch.setenv("HASTE_SERVER_URL", "http://environment:2/")
    settings = load_settings()
    assert settings.server_url == "http://environment:2"
    assert settings.roots == {"nas": "/mnt/nas"}
    assert settings.token is not None
    assert settings.token.get_secret_value() == "from-file"
    assert load_settings(url="http://argument:3").server_url == "http://argument:3"
    monkeypatch.setenv("HASTE_ROOTS", '{"lab": "/lab"}')
    assert load_settings().roots == {"lab": "/lab", "nas": "/mnt/nas"}
    assert load_settings(roots={"own": Path("/own")}).roots == {"own": "/own"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("server: http://x", "server"),
        ("server_url: nonsense", "server_url"),
        ("roots: {'a b': /x}", "roots"),
        ("roots: [/x]", "roots"),
        ("server_url: [", "client.yaml"),
    ],
)
def test_a_wrong_file_is_explained(no_settings: Path, text: str, where: str) -> None:
    no_settings.write_text(text)
    with pytest.raises(InvalidError) as caught:
        load_settings()
    assert where in caught.value.problems[0].where


def test_a_wrong_environment_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASTE_ROOTS", "nas=/mnt/nas")
    with pytest.raises(InvalidError, match="roots"):
        load_settings()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_root_may_be_relative_or_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "nas").symlink_to(tmp_path / "disk")
    monkeypatch.chdir(tmp_path)
    image = (tmp_path / "disk/plate/a.tif").resolve()
    for root in ("nas", tmp_path / "nas", tmp_path / "disk"):
        assert load_settings(roots={"lab": root}).local_roots().url_of(image) == "root://lab/plate/a.tif"
    windows = load_settings(roots={"lab": "Z:\\plates"}).local_roots()
    assert windows.url_of(PureWindowsPath("Z:\\plates\\a.tif")) == "root://lab/a.tif"


def test_a_wrong_root_is_explained() -> None:
    with pytest.raises(InvalidError, match="a b"):
        load_settings(roots={"a b": "/x"})


def test_the_token_is_not_shown() -> None:
    assert "a-secret" not in repr(load_settings(token="a-secret"))


def test_the_example_file_loads(no_settings: Path) -> None:
    example = Path(__file__).parents[3] / "config/client.yaml"
    no_settings.write_text(example.read_text(encoding="utf-8"))
    assert load_settings().server_url == DEFAULT_SERVER_URL
