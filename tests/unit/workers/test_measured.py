"""What processes took, told after their end, and by themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

from haste_workers.measured import own_peak_bytes

MEASURE = """
import os
from haste_workers.measured import MeasuredProcess, own_peak_bytes

def hoard(code):
    held = b"x" * (300 * 2**20)
    os._exit(code)

if __name__ == "__main__":
    process = MeasuredProcess(target=hoard, args=(3,))
    process.start()
    process.join()
    print(process.exitcode, process.peak_bytes // 2**20)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell")
def test_a_process_that_ended_tells_its_peak(tmp_path: Path) -> None:
    program = tmp_path / "measure.py"
    program.write_text(MEASURE)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    exit_code, peak_mib = map(int, done.stdout.split())
    assert exit_code == 3
    assert 300 < peak_mib < 400


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_a_process_does_not_count_what_its_starter_had() -> None:
    held = b"x" * (300 * 2**20)
    code = "from haste_workers.measured import own_peak_bytes; print(own_peak_bytes() // 2**20)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = own_peak_bytes()
    assert own is not None
    assert own > len(held)
    assert int(done.stdout) < 100
