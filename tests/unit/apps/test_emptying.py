"""A trash is emptied only by who agrees to what is shown."""

import io
import json
from typing import Any

import pytest

from haste_apps.emptying import empty_trash, show_trash
from haste_client.trashes import EmptyingAnswer, TrashedAnswer
from haste_core.errors import InvalidError
from haste_runtime.exit_codes import ExitCode


class Client:
    """Answers as a server does that has images in a trash, and remembers what it was asked."""

    def __init__(self, count: int = 2) -> None:
        self.count = count
        self.asked: list[dict[str, Any]] = []

    def empty_trash(self, tier: str, **how: Any) -> EmptyingAnswer:
        self.asked.append(how)
        return EmptyingAnswer(tier=tier, count=self.count, size_bytes=7000 * self.count)

    def trash(self, tier: str) -> list[TrashedAnswer]:
        image = TrashedAnswer(
            job_id=7, stream_id="plate7", source_id="A01.tif", size_bytes=7000, trashed_at=0.0, expires_at=1e9
        )
        told = ({}, {"pinned": True}, {"marked": True}, {"enforced": False})
        return [image.model_copy(update=update) for update in told]


def emptied(client: Client, **options: Any) -> ExitCode:
    chosen = {"dry_run": False, "yes": False, "by": "eva", "as_json": True} | options
    return empty_trash(client, "bin", **chosen)  # type: ignore[arg-type]


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_nothing_goes_without_a_yes(
    said: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = io.StringIO(said)
    monkeypatch.setattr(asked, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", asked)
    client = Client()
    assert emptied(client) == code
    assert client.asked == [{"dry_run": True}, *([{"by": "eva"}] if code == 0 else [])]
    out, err = capsys.readouterr()
    assert "Delete 2 images (14.0 kB) in bin for good?" in err
    assert json.loads(out)["emptied"] is (code == 0)


def test_where_nobody_can_be_asked_it_has_to_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    client = Client()
    with pytest.raises(InvalidError, match="--yes"):
        emptied(client)
    assert emptied(client, yes=True) is ExitCode.DONE
    assert client.asked == [{"dry_run": True}, {"dry_run": True}, {"by": "eva"}]


def test_trying_and_an_empty_trash_need_no_question() -> None:
    for client, options in ((Client(), {"dry_run": True}), (Client(0), {})):
        assert emptied(client, **options) is ExitCode.DONE
        assert client.asked == [{"dry_run": True}]


def test_the_list_says_what_stays(capsys: pytest.CaptureFixture[str]) -> None:
    show_trash(Client(), "bin", as_json=False)  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    for said in ("until 2001-09-0", "pinned", "is being deleted", "its stream only observes"):
        assert said in out
    assert "4 images in bin, 28.0 kB" in err
    show_trash(Client(), "bin", as_json=True)  # type: ignore[arg-type]
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 4
