"""How a server's first process hears that it shall end: signals come whenever they like."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from haste_server.processes import supervisor
from haste_server.processes.children import ChildProcess
from haste_server.processes.supervisor import hear_stop_signals, run_until_stopped, supervise

pytestmark = pytest.mark.timeout(10)  # a signal that is not heard, or a deadlock, would last for ever

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _signalled_at(moment: int) -> Callable[[FrameType, str, Any], Any]:
    """Return a function for `sys.settrace` that raises SIGTERM at the line of that number."""
    lines = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        if event == "line" and lines == moment:
            signal.raise_signal(signal.SIGTERM)
        return trace

    return trace


def test_a_signal_ends_the_wait_wherever_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK_S", 0.001)
    before = sys.gettrace()
    for moment in range(1, 41):  # two rounds of waiting, also if they were done by lines of Python
        stop_signals = hear_stop_signals()
        sys.settrace(_signalled_at(moment))
        try:
            run_until_stopped(stop_signals, parent_pid=None)
        finally:
            sys.settrace(before)


@pytest.mark.parametrize("number", _SIGNALS)
def test_a_signal_during_the_start_ends_all_that_was_started(number: signal.Signals) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def on_start(process: subprocess.Popen[bytes]) -> None:
        started.append(process)
        if len(started) == 1:
            signal.raise_signal(number)

    children = [ChildProcess(name, ["sleep", "60"], {}, on_start=on_start) for name in ("engine", "web")]

    supervise(children, timeout_s=5)

    assert [process.poll() for process in started] == [-signal.SIGTERM, -signal.SIGTERM]
