"""Policies are read from all files that hold one; nothing is changed that was not agreed to."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from haste_apps.deciding.asking import agreed, job_of
from haste_apps.deciding.policies import change_policy, read_policy, show_policy
from haste_client.deciding import Move, PreviewAnswer, Unscored
from haste_core.errors import ConflictError, InvalidError, NotFoundError, Problem
from haste_core.pipelines import Pipeline
from haste_runtime.exit_codes import ExitCode

CONFIG = Path(__file__).resolve().parents[3] / "config"
PAPER = CONFIG / "policies/paper.yaml"
FOCUS_TIER = CONFIG / "pipelines/focus-tier.yaml"


class Client:
    """Answers as a server does whose stream has five images, and remembers what it was given."""

    def __init__(self, count: int = 5, pipeline: dict[str, Any] | None = None) -> None:
        moves = (Move(count=2, size_bytes=20, before="tierC", after="tierA"),) if count else ()
        tiers = {"tierA": {"count": 3, "size_bytes": 30}, "tierB": {"count": 2, "size_bytes": 9}}
        self.preview = PreviewAnswer(
            tiers=tiers if count else {}, moves=moves, count=count, moving=len(moves) * 2
        )
        self.given: list[dict[str, Any]] = []
        shown = Pipeline.parse(pipeline or yaml.safe_load(FOCUS_TIER.read_text()))
        self._stream = SimpleNamespace(pipeline=shown, mode="observe")

    def preview_policy(self, stream_id: str, **wanted: Any) -> PreviewAnswer:
        return self.preview

    def set_policy(self, stream_id: str, **wanted: Any) -> SimpleNamespace:
        self.given.append(wanted)
        return SimpleNamespace(warnings=("it looks at 'plsl'",))

    def stream(self, stream_id: str) -> SimpleNamespace:
        if stream_id == "plate":
            raise NotFoundError(f"there is no stream {stream_id!r}")
        return self._stream

    def jobs(self, *, stream_id: str, source_id: str) -> list[SimpleNamespace]:
        known = {("plate7", "A01.tif"): [3, 12]}
        return [SimpleNamespace(job_id=job_id) for job_id in known.get((stream_id, source_id), [])]


def change(client: Client, **options: Any) -> ExitCode:
    chosen = {"apply": False, "yes": False, "as_json": False} | options
    return change_policy(client, "plate7", PAPER, **chosen)  # type: ignore[arg-type]


def test_a_policy_is_read_alone_and_out_of_a_pipeline(tmp_path: Path) -> None:
    alone, pipeline = yaml.safe_load(PAPER.read_text()), yaml.safe_load(FOCUS_TIER.read_text())
    assert read_policy(PAPER) == {"policy": alone}
    assert read_policy(FOCUS_TIER) == {name: pipeline[name] for name in ("interestingness", "policy")}
    own = {"type": "own", "policy": "lab-policy", "tiers": ["a", "b"], "undefined": "b"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    assert read_policy(tmp_path / "own.yaml") == {"policy": own}


@pytest.mark.parametrize("content", ["- 1\n", "a: [\n", "", b"\xff\xfe\x00".decode("latin-1")])
def test_a_file_without_a_policy_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(InvalidError, match=r"policy\.yaml"):
        read_policy(file)


def test_what_is_shown_can_be_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_policy(_shown(), "plate7", as_json=False)
    (tmp_path / "policy.yaml").write_text(capsys.readouterr().out)
    pipeline = yaml.safe_load(FOCUS_TIER.read_text())
    again = Pipeline.parse(pipeline | read_policy(tmp_path / "policy.yaml"))
    assert again == Pipeline.parse(pipeline)


def _shown() -> Any:
    pipeline = Pipeline.parse(yaml.safe_load(FOCUS_TIER.read_text())).to_json()
    return SimpleNamespace(stream=lambda _name: SimpleNamespace(pipeline=SimpleNamespace(**pipeline)))


def test_a_stream_without_a_policy_says_so() -> None:
    edge = yaml.safe_load((CONFIG / "pipelines/edge.yaml").read_text())
    with pytest.raises(ConflictError, match=r"'edge'.*no policy"):
        show_policy(Client(pipeline=edge), "sent", as_json=False)  # type: ignore[arg-type]


def test_a_preview_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client()
    assert change(client) is ExitCode.DONE
    assert client.given == []
    told = capsys.readouterr()
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in told.out.splitlines() if "tier" in line
    ]
    assert rows[-3:] == [
        ["tierA", "1", "3", "2", "0", "30 B"],
        ["tierB", "2", "2", "0", "0", "9 B"],
        ["tierC", "2", "0", "0", "2", "0 B"],
    ]
    assert "2 of 5 images of stream plate7" in told.err


def test_what_cannot_be_scored_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client()
    unscored = Unscored(count=4, reason="the object has no number 'plsl'")
    client.preview = client.preview.model_copy(
        update={"unscored": unscored, "warnings": ("it looks at 'plsl'; did you mean 'plls'?",)}
    )
    change(client)
    told = capsys.readouterr().err
    assert "Warning: 4 of 5 images cannot be scored by this function" in told
    assert "stay: the object has no number 'plsl'." in told
    assert told.count("did you mean 'plls'?") == 1
    change(client, apply=True, yes=True, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["unscored"] == {"count": 4, "reason": "the object has no number 'plsl'"}
    assert shown["warnings"] == ["it looks at 'plsl'; did you mean 'plls'?"]


def test_it_is_applied_when_that_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client()
    assert change(client, apply=True, yes=True, as_json=True) is ExitCode.DONE
    assert client.given == [read_policy(PAPER)]
    assert json.loads(capsys.readouterr().out)["applied"] is True


def test_what_can_only_be_applied_is_applied_without_a_preview(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_stream_id: str, **_wanted: Any) -> PreviewAnswer:
        raise InvalidError([Problem("interestingness", "quantile is tried for at most 2,000 objects")])

    client = Client()
    client.preview_policy = refuse  # type: ignore[method-assign]
    with pytest.raises(InvalidError):
        change(client)
    assert change(client, apply=True, yes=True) is ExitCode.DONE
    assert len(client.given) == 1
    told = capsys.readouterr().err
    assert "not known: interestingness: quantile is tried for at most" in told
    assert "Warning: it looks at 'plsl'" in told
    assert change(client, apply=True, yes=True, as_json=True) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {"warnings": ["it looks at 'plsl'"], "applied": True}


def test_nobody_to_ask_means_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    client = Client()
    with pytest.raises(InvalidError, match="--yes"):
        change(client, apply=True)
    assert client.given == []


@pytest.mark.parametrize(("answer", "is_agreed"), [("y", True), ("Yes", True), ("n", False), ("", False)])
def test_the_user_is_asked(monkeypatch: pytest.MonkeyPatch, answer: str, is_agreed: bool) -> None:
    asked = io.StringIO(f"{answer}\n")
    asked.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", asked)
    assert agreed("Really?") is is_agreed


def test_an_empty_stream_takes_a_policy_for_what_comes(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client(count=0)
    assert change(client, apply=True, yes=True) is ExitCode.DONE
    assert len(client.given) == 1
    told = capsys.readouterr()
    assert (told.out, "the images that come" in told.err) == ("", True)


def test_an_image_is_named_by_its_job_or_its_stream() -> None:
    client: Any = Client()
    assert job_of(client, ["7"]) == 7
    assert job_of(client, ["plate7", "A01.tif"]) == 12  # its latest version
    with pytest.raises(NotFoundError, match=r"no image 'B02\.tif'"):
        job_of(client, ["plate7", "B02.tif"])
    with pytest.raises(NotFoundError, match="no stream 'plate'"):
        job_of(client, ["plate", "A01.tif"])
    for words in ([], ["A01.tif"], ["plate7", "A01.tif", "x"]):
        with pytest.raises(InvalidError, match="as in: plate7"):
            job_of(client, words)
