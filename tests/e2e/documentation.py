"""A reader of the documentation who does what it shows, in a folder instead of on a machine of its own.

Blocks are indented lines or fences. One whose first line is a comment with a path is that file; other Python
is run; other lines are commands. What only a whole machine could do is named in `NOT_HERE`.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Self

from tests.e2e.server_process import ServerProcess
from tests.waiting import wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent

SERVICE = "haste-server"

NOT_HERE = {
    "make ": "sets the project up",
    ". .venv/bin/activate": "sets the terminal up",
    "python3 -m venv": "sets the project up",
    "pip install": "sets the project up",
    "/opt/haste/bin/pip install": "sets the project up",
    "haste demo": "tests/e2e/test_demo.py does it",
    "haste --install-completion": "the user's shell; tests/unit/apps/test_completion.py has one",
    "apt-get ": "the machine's packages",
    "systemctl ": "the machine's services",
    "useradd ": "the machine's accounts",
    "chown ": "the machine's accounts",
    "mariadb ": "the machine's database",
    "mariadb-dump ": "the machine's database",
    "rabbitmqctl ": "the machine's broker",
}

_BLOCK = re.compile(
    r"^```(?P<language>\w+)\n(?P<fenced>(?:.*\n)*?)```$|(?P<indented>(?:^(?: {4}.*)\n|(?<=\n)\n(?= {4}))+)",
    re.MULTILINE,
)
_FILE = re.compile(r"# (\S+\.\w+)\n")
_WORKER_IS_UP = "action=amqp_up"


@dataclass(frozen=True)
class Block:
    """What is set off from the text of a page; `language` is empty for indented lines."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The path in the comment on its first line."""
        named = _FILE.match(self.text)
        return named[1] if named else None

    @property
    def is_output(self) -> bool:
        return self.text.startswith("┏")

    def commands(self) -> Iterator[str]:
        """Go through its commands, which end where their quotes do."""
        command = ""
        for line in self.text.splitlines():
            command += line
            if _is_whole(command):
                yield command
                command = ""
            else:
                command += "\n"
        assert not command, f"this is no command: {command}"


def _is_whole(command: str) -> bool:
    try:
        return bool(shlex.split(command)) and not command.endswith("\\")
    except ValueError:  # a quote is open
        return False


def blocks_of(page: str, *, without: str | None = None) -> list[Block]:
    """Find the blocks of a page of the documentation, but for those of the section that is left out."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    if without is not None:
        before, _, section = text.partition(f"### {without}\n")
        assert section, f"{page} has no section {without!r}"
        text = before + re.sub(r"\A.*?(?=^##)", "", section, flags=re.DOTALL | re.MULTILINE)
    return [
        Block(match["language"], match["fenced"])
        if match["language"]
        else Block("", dedent(match["indented"]).strip("\n") + "\n")
        for match in _BLOCK.finditer(text)
    ]


@dataclass
class Reader:
    """Does what blocks show; used as a context, at whose end what was started is stopped.

    Attributes
    ----------
    folder : Path
        Where it works.
    stands_for : dict of str
        What is written otherwise than in the documentation, such as the names of machines and folders.
    environment : dict of str
    patience_s : float
        How long a command may take.
    said : list of str
        What the commands have printed, in their order.
    """

    folder: Path
    stands_for: dict[str, str]
    environment: dict[str, str]
    patience_s: float = 60
    said: list[str] = field(default_factory=list)
    _server: ExitStack = field(default_factory=ExitStack)
    _workers: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._server, self._workers:
            pass  # the workers stop first

    def follow(self, page: str, *, without: str | None = None) -> None:
        """Do all that a page shows, but for the section that is left out."""
        for block in blocks_of(page, without=without):
            if block.file is not None:
                path = self.folder / self._here(block.file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._here(block.text))
            elif block.language == "python":
                self._run([sys.executable, "-c", self._here(block.text)])
            elif block.language in ("", "sh") and not block.is_output:
                for command in block.commands():
                    self.do(command)

    def do(self, command: str) -> None:
        """Run one command, or start it where it runs until it is stopped."""
        command = re.sub(r"\bsudo ", "", command.strip())
        if command == f"systemctl enable --now {SERVICE}":
            self._start_service(self.folder / self._here(f"/etc/systemd/system/{SERVICE}.service"))
            return
        if command.startswith(tuple(NOT_HERE)):
            return
        command = self._here(command)
        program = Path(shlex.split(command)[0]).name
        if program == "haste-server" and not re.search("check-config|db upgrade", command):
            self._start_server(shlex.split(command), {})
        elif program == "haste" and " watch " in command:
            self._watch(shlex.split(command))
        elif "haste-worker" in command:
            self._start_worker(command)
        else:
            self._run(["bash", "-c", command])

    def _start_service(self, unit: Path) -> None:
        """Start a server as systemd would."""
        parser = ConfigParser()
        parser.read_string(unit.read_text())
        lines = Path(parser["Service"]["EnvironmentFile"]).read_text().splitlines()
        told = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        self._start_server(shlex.split(parser["Service"]["ExecStart"]), told)

    def _start_server(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start a server in place of the one that runs, and wait until it can work."""
        self._server.close()
        process = self._server.enter_context(self._running(command, "server", environment))
        data_dir = Path(self.environment["HASTE_URL_FILE"]).parent
        ServerProcess(process, data_dir, self.folder / "server.log").wait_until_ready()

    def _start_worker(self, command: str) -> None:
        log = self.folder / "worker.log"
        before = log.read_text().count(_WORKER_IS_UP) if log.exists() else 0
        # Not by a shell that stays, which would not hand a signal on.
        self._workers.enter_context(self._running(["bash", "-c", f"exec env {command}"], log.stem, {}))
        wait_for(lambda: log.read_text().count(_WORKER_IS_UP) > before)

    def _watch(self, command: list[str]) -> None:
        with self._running(command, "watch", {}) as watch:
            wait_for(lambda: "images submitted" in (self.folder / "watch.log").read_text())
            watch.send_signal(signal.SIGINT)
            assert watch.wait(20) == 0

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=self.patience_s,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        self.said.append(done.stdout)

    @contextmanager
    def _running(
        self, command: list[str], name: str, environment: Mapping[str, str]
    ) -> Iterator[subprocess.Popen[str]]:
        log = self.folder / f"{name}.log"
        with log.open("a") as stream:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **environment},
                stderr=stream,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
            if process.poll() is None:
                process.terminate()
            assert process.wait(40) == 0, (command, log.read_text())
        finally:
            process.kill()
            process.wait()

    def _here(self, text: str) -> str:
        # At one go: what is put in may hold what is shown elsewhere. The longest comes first.
        shown = sorted(self.stands_for, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, shown)), lambda found: self.stands_for[found[0]], text)


def reader(folder: Path, *, stands_for: Mapping[str, str], **environment: str) -> Reader:
    """Make a reader whose programs know nothing of this machine's own HASTE server."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HASTE_")}
    folder.mkdir()
    told = {
        "PATH": f"{PROGRAMS}{os.pathsep}{plain['PATH']}",
        "HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": str(folder / "home/.config"),
        "HASTE_URL_FILE": str(folder / "server/url"),
    }
    return Reader(folder, dict(stands_for), plain | told | environment)
