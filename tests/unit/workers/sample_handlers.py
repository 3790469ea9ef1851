"""Handlers as users write them, good and bad; they run in real child processes."""

import ctypes
import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from haste_core.errors import BadInputError, PermanentError, TransientError
from haste_workers import Answer


def nothing(job, task, context):
    return {}


def echo(job, task, context):
    return {"source_id": job["source_id"], "parameters": dict(context.parameters), "pid": os.getpid()}


def sleep(job, task, context):
    marker = context.parameters.get("marker")
    if marker:
        Path(marker).write_text(str(os.getpid()))
    time.sleep(float(context.parameters.get("seconds", 0.2)))
    return {"slept": True}


def draw(job, task, context):
    """Draw from numpy's old generator, which is one for the whole process; be slow enough for a neighbour."""
    time.sleep(0.2)
    threads = os.environ["OPENBLAS_NUM_THREADS"]
    return {"number": int(np.random.randint(2**31)), "pid": os.getpid(), "threads": threads}  # noqa: NPY002


def segfault(job, task, context):
    ctypes.string_at(0)


def leave(job, task, context):
    os._exit(7)


def starve(job, task, context):
    return {"size": len(bytearray(10**10))}


def hoard(job, task, context):
    hoarded = [b"x" * 2**20 for _ in range(300)]  # written to, so that it is really taken
    if context.parameters.get("die"):
        ctypes.string_at(0)
    while True:
        hoarded.append(b"x" * 2**24)


def take_and_free(job, task, context):
    """Take as much memory as the arrays of an image, three times; tell what the system gave the last time."""
    import resource  # POSIX only

    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        arrays = [bytearray(15_000_000) for _ in range(5)]
        del arrays
    return {"pages": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before}


def fail_as_asked(job, task, context):
    kind = context.parameters["kind"]
    if kind == "bad-input":
        raise BadInputError("not a readable image: it is a poem")
    if kind == "permanent":
        raise PermanentError("no licence for this plug-in")
    if kind == "transient":
        raise TransientError("the licence server is away")
    if kind == "unexpected":
        raise ValueError("channels differ")
    if kind == "source-vanished":
        source = context.source_path()
        source.unlink()
        source.read_bytes()
    if kind == "exit":
        sys.exit("usage: my_script FILE")
    if kind == "broken-name":
        raise ValueError("odd name: " + os.fsdecode(b"caf\xe9.tif"))
    if kind == "disk-full":
        raise OSError(28, "No space left on device")
    raise AssertionError(kind)


def answer_as_asked(job, task, context):
    return {
        "none": None,
        "list": [1, 2],
        "date": {"when": datetime.datetime(2026, 1, 1)},
        "nan": {"score": float("nan")},
        "number-keys": {1: "one"},
        "huge": {"pixels": "x" * 1_100_000},
        "endless": _endless(),
        "broken-name": {"file": os.fsdecode(b"caf\xe9.tif")},
        "place": Answer({}, place="root://nas/x.tif"),
        "numpy": {"mean": np.float32(1.5), "count": np.int64(3), "empty": np.bool_(False)},
        "array": {"pixels": np.zeros(3)},
        "fine": Answer({"nested": {"deep": [1, None, "x"]}}, message="all well"),
    }[context.parameters["kind"]]


def _endless():
    answer = {}
    answer["itself"] = answer
    return answer


def print_much(job, task, context):
    print("x" * 100_000, flush=True)  # noqa: T201 - that is the point
    os.write(1, b"straight to descriptor 1\n")
    subprocess.run([sys.executable, "-c", "print('from a program')"], check=True)
    return {"printed": True}


def write_temporary(job, task, context):
    (context.temp_dir / "big.bin").write_bytes(b"0" * 1000)
    Path(context.parameters["tell"]).write_text(str(context.temp_dir))
    if context.parameters.get("die"):
        os._exit(1)
    return {"temp_dir": str(context.temp_dir)}


def start_program(job, task, context):
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    Path(context.parameters["tell"]).write_text(str(program.pid))
    program.wait()
    return {}


def start_background_program(job, task, context):
    pause = "import time; time.sleep(300)"
    background = (
        "import subprocess, sys; "
        f"print(subprocess.Popen([sys.executable, '-c', {pause!r}], stdout=2, start_new_session=True).pid)"
    )
    # The program in the middle ends at once, so that nobody is left who knows the one that stays.
    started = subprocess.run([sys.executable, "-c", background], check=True, stdout=subprocess.PIPE)
    Path(context.parameters["tell"]).write_bytes(started.stdout)
    if context.parameters.get("die"):
        os._exit(1)
    time.sleep(float(context.parameters.get("seconds", 300)))
    return {}


def tell_progress(job, task, context):
    context.progress(0.5, "half way")
    time.sleep(0.6)
    return {}


def progress_slowly(job, task, context):
    for step in range(40):
        context.progress(step / 40, f"step {step}")
        time.sleep(0.1)
    return {}
