"""What the agent is told."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from haste_apps.agent.checks import check_choices
from haste_apps.agent.cli import app
from haste_apps.agent.own_server import local_pipeline, local_stream_id
from haste_apps.agent.settings import AgentSettings, load_settings
from haste_core.errors import InvalidError

REPOSITORY = Path(__file__).resolve().parents[4]
CONFIG = REPOSITORY / "config" / "agent.yaml"
GIVEN: dict[str, Any] = {"path": "/data/Plate 7", "host": "haste.lab", "tag": "lab1"}


def settings(**more: Any) -> AgentSettings:
    return AgentSettings.model_validate({**GIVEN, **more})


def test_the_shipped_file_is_the_default_and_names_every_setting() -> None:
    assert load_settings(CONFIG, **GIVEN) == load_settings(None, **GIVEN)
    text = CONFIG.read_text(encoding="utf-8")
    assert [name for name in AgentSettings.model_fields if f"{name}:" not in text] == []


def test_every_setting_is_documented() -> None:
    text = (REPOSITORY / "docs" / "agent.md").read_text(encoding="utf-8")
    assert [name for name in AgentSettings.model_fields if f"`{name}`" not in text] == []


def test_command_line_overrules_environment_and_this_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("{path: /a, host: a.lab, tag: a, limit: 20M, include: [tif, .PNG]}")
    monkeypatch.setenv("HASTE_AGENT_HOST", "b.lab")
    monkeypatch.setenv("HASTE_AGENT_TAG", "b")
    found = load_settings(file, tag="c")
    assert (found.path, found.host, found.tag) == (Path("/a"), "https://b.lab", "c")
    assert (found.limit, found.include) == (20_000_000, (".tif", ".png"))
    file.write_text("{path: /a, host: a.lab, tag: a, hosst: b}")
    with pytest.raises(InvalidError, match="hosst"):
        load_settings(file)


@pytest.mark.parametrize(
    ("host", "url", "openly"),
    [
        ("haste.lab", "https://haste.lab", False),
        ("haste.lab:443", "https://haste.lab:443", False),
        ("haste.lab:5510", "http://haste.lab:5510", True),
        ("127.0.0.1:5510", "http://127.0.0.1:5510", False),
        ("https://haste.lab:8443/", "https://haste.lab:8443", False),
        ("[::1]:5510", "http://[::1]:5510", False),
    ],
)
def test_host(host: str, url: str, openly: bool) -> None:
    found = settings(host=host)
    assert (found.host, found.sends_openly) == (url, openly)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "ftp://haste.lab"},
        {"host": "haste.lab:port"},
        {"host": "https://haste.lab/HASTE"},
        {"include": "exe"},
        {"limit": "fast"},
        {"limit": "10k"},
        {"hours": "18"},
        {"stream": "a/b"},
        {"password": "a", "token_file": "/b"},
        {"cores": 0},
        {"names": "(unclosed"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        load_settings(None, **{**GIVEN, **wrong})


@pytest.mark.parametrize(
    ("include", "suffixes"),
    [("tif", (".tif",)), (["tif", ".TIFF"], (".tif", ".tiff")), ("*.png, jpg", (".png", ".jpg")), ([], ())],
)
def test_include(include: Any, suffixes: tuple[str, ...]) -> None:
    assert settings(include=include).include == suffixes


def test_names_that_follow_from_the_folder() -> None:
    assert settings().stream_id == "Plate-7_lab1"
    assert settings(stream="mine").stream_id == "mine"
    long = settings(path="/" + "x" * 300, tag="t" * 100)
    assert len(long.stream_id) <= 80
    assert len(local_stream_id(long)) <= 100
    folders = {settings().own_folder, settings(host="b").own_folder, settings(path="/other").own_folder}
    assert len(folders) == 3


def test_another_operator_is_another_stream_here_that_leads_to_the_same(tmp_path: Path) -> None:
    made = [settings(), settings(operator="none"), settings(codec="jxl")]
    assert len({local_stream_id(one) for one in made}) == 3
    assert {local_pipeline(one).parameters["upload"]["stream_id"] for one in made} == {"Plate-7_lab1"}


def test_token_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("  secret\n")
    token = settings(token_file=file).read_token()
    assert token is not None
    assert token.get_secret_value() == "secret"
    file.write_text("\n")
    with pytest.raises(InvalidError, match="is empty"):
        settings(password_file=file).read_token()
    with pytest.raises(InvalidError, match="cannot be read"):
        settings(token_file=tmp_path / "none").read_token()
    assert "secret" not in repr(settings(token="secret"))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--x-mode", "1"], "not in the order in which they come: leave --x-mode out, or say 0"),
        (["--x-mode", "2"], "known to nobody beforehand: leave --x-mode out, or say 0"),
        (["--x-mode", "7"], "no such mode: leave --x-mode out"),
        (["--x-disable-prioritization"], "leave it out, or say --operator none"),
    ],
)
def test_orders_of_the_original_agent_are_refused_with_what_to_do(option: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["/data", "--host", "haste.lab", "--tag", "lab1", *option])
    assert result.exit_code == 2
    assert said in result.output


def test_end_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASTE_AGENT_END_MARKERS", "{name}.done, acquisition.done")
    assert load_settings(None, **GIVEN).end_markers == ("{name}.done", "acquisition.done")
    assert load_settings(None, **GIVEN, end_markers=["end.txt"]).end_markers == ("end.txt",)
    with pytest.raises(InvalidError, match="in braces stands name or stem"):
        load_settings(None, **GIVEN, end_markers=["{suffix}.done"])


def test_a_folder_that_is_not_there_or_may_not_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidError, match="there is no folder"):
        check_choices(settings(path=tmp_path / "none"))
    check_choices(settings(path=tmp_path))
    monkeypatch.setattr("os.access", lambda *_: False)  # whoever runs the tests may read everything
    with pytest.raises(InvalidError, match="may not be read by this user account"):
        check_choices(settings(path=tmp_path))
