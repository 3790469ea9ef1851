"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from haste_core.states import TaskState
from haste_runtime.quantities import size_text

LONGEST_MESSAGE = 300
LONGEST_NAME = 80
"""In tables, in characters; what is cut off stands on the page of the image."""

_STATES: Mapping[TaskState, str] = {
    TaskState.RUNNING: "running",
    TaskState.DONE: "done",
    TaskState.REGISTERED: "waiting",
    TaskState.SKIPPED: "skipped",
    TaskState.RESET: "held until it is retried",
    TaskState.MALFORMED: "malformed",
    TaskState.SOURCE_DENIED: "image may not be read",
    TaskState.SOURCE_MISSING: "image missing",
    TaskState.CANCELLED: "cancelled",
    TaskState.UNROUTABLE: "unroutable",
    TaskState.ERROR: "failed",
    TaskState.BAD_INPUT: "bad image",
    TaskState.REMOTE_TROUBLE: "trouble elsewhere",
}


def size(size_bytes: float | None) -> str:
    """Write a number of bytes in the unit that fits, powers of 1000."""
    return "-" if size_bytes is None else size_text(size_bytes)


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def count(value: int) -> str:
    """Write a count with thin gaps between thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def percent(share: float) -> str:
    """Write a share of 1 in per cent."""
    return f"{share:.1%}"


def duration(seconds: float) -> str:
    """Write a time span in the two units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def run_time(seconds: float) -> str:
    """Write how long something ran: tasks that take milliseconds differ, too."""
    return duration(seconds) if seconds >= 10 else f"{seconds:.2f} s"


def moment(seconds: float | None) -> str:
    """Write a time, in UTC: the server does not know where its reader is."""
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine_time(seconds: float) -> str:
    """Write a time as HTML's ``datetime`` wants it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def rate(per_s: float | None) -> str:
    """Write how many images come to their end in a time."""
    if per_s is None:
        return "-"
    return f"{per_s:.1f} images/s" if per_s >= 1 else f"{per_s * 60:.1f} images/min"


def task_rate(per_s: float) -> str:
    """Write how many tasks come to their end in a time."""
    if not per_s:
        return "-"
    return f"{per_s:.1f}/s" if per_s >= 1 else f"{per_s * 60:.1f}/min"


def state(code: TaskState) -> str:
    """Write a state in words, with its code."""
    return f"{_STATES[code]} ({int(code.shown)})"


def sentence(text: str) -> str:
    """Begin a text as a sentence begins."""
    return text[:1].upper() + text[1:]


def short(text: str) -> str:
    """Cut a message that would fill a page by itself."""
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}\N{HORIZONTAL ELLIPSIS}"


def short_name(name: str) -> str:
    """Cut a long name in its middle: its end tells it from its neighbours."""
    if len(name) <= LONGEST_NAME:
        return name
    half = LONGEST_NAME // 2
    return f"{name[: half - 1]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


FILTERS: Mapping[str, Callable[..., str]] = {
    "size": size,
    "number": number,
    "count_text": count,
    "percent": percent,
    "duration": duration,
    "run_time": run_time,
    "moment": moment,
    "machine_time": machine_time,
    "rate": rate,
    "task_rate": task_rate,
    "state_text": state,
    "sentence": sentence,
    "short": short,
    "short_name": short_name,
}
