"""Programs that are told to end, by real signals at any moment."""

import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from haste_apps.interruption import GRACE_S, interruptible

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

PROGRAM = """
import queue, sys, threading, typer
from haste_apps.exits import explained_errors
from haste_apps.interruption import interruptible

def busy():  # as urllib3's pool does, and it takes and gives locks all the time
    connections = queue.LifoQueue()
    try:
        while True:
            connections.put(None)
            connections.get()
            interruption.check()
    finally:
        with connections.mutex:
            print("closed", flush=True)

def patient():
    interruption.heard.wait()
    return 7

works = {"busy": busy, "hanging": threading.Event().wait, "patient": patient,
         "pausing": lambda: interruption.pause(3600)}
def begun():
    print("ready", flush=True)
    return works[sys.argv[1]]()

try:
    with interruptible() as interruption, explained_errors():
        try:
            code = interruption.run(begun, grace_s=float(sys.argv[2]))
        finally:
            print("stopped what was started", flush=True)
except typer.Exit as ended:
    code = ended.exit_code
sys.exit(code)
"""


def start(work: str, *, grace_s: float = GRACE_S) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, work, str(grace_s)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    return program


def end(program: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return program.communicate(timeout=GRACE_S + 10)
    finally:
        program.kill()


def interrupted_after(seconds: float) -> tuple[int, str, str]:
    program = start("busy")
    time.sleep(seconds)
    program.send_signal(signal.SIGINT)
    out, err = end(program)
    return program.returncode, out, err


def test_what_is_interrupted_at_any_moment_leaves_no_lock_taken() -> None:
    moments = [random.Random(number).uniform(0, 0.2) for number in range(8)]
    with ThreadPoolExecutor(4) as at_once:
        ends = list(at_once.map(interrupted_after, moments))
    assert ends == [(130, "closed\nstopped what was started\n", "haste: interrupted\n")] * len(moments)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_hangs_is_given_up_after_what_was_started_is_stopped(number: signal.Signals) -> None:
    program = start("hanging")
    program.send_signal(number)
    out, err = end(program)
    assert (program.returncode, out, err) == (130, "stopped what was started\n", "haste: interrupted\n")


def test_a_second_signal_ends_at_once_but_not_the_echo_of_the_first() -> None:
    program = start("hanging", grace_s=60)
    for _ in range(3):
        program.send_signal(signal.SIGINT)
        time.sleep(0.01)
    time.sleep(1)
    assert program.poll() is None
    program.send_signal(signal.SIGINT)
    assert end(program) == ("", "")
    assert program.returncode == 130


def test_work_may_end_well_when_it_is_told() -> None:
    program = start("patient", grace_s=60)
    program.send_signal(signal.SIGTERM)
    end(program)
    assert program.returncode == 7


def test_a_pause_ends_when_it_is_told() -> None:
    program = start("pausing", grace_s=60)
    program.send_signal(signal.SIGTERM)
    assert end(program)[1] == "haste: interrupted\n"


def test_what_work_returns_or_raises_comes_back() -> None:
    with interruptible() as interruption:
        assert interruption.run(lambda: 5) == 5
        with pytest.raises(TimeoutError, match="mine"):
            interruption.run(_fail)


def _fail() -> None:
    raise TimeoutError("mine")


def test_signals_that_were_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
