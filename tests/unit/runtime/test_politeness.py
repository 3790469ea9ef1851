"""Stepping back before others."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, subprocess, sys
from haste_runtime.politeness import NICENESS, step_back
step_back(), step_back()
child = subprocess.run([sys.executable, "-c", "import os; print(os.nice(0))"], capture_output=True, text=True)
print(os.nice(0) >= NICENESS, int(child.stdout) == os.nice(0))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks for the niceness of POSIX")
def test_what_is_started_steps_back_too() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True"]
