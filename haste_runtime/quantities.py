"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime


def size_text(size_bytes: float) -> str:
    """Write a number of bytes in the unit that fits, powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def number_text(value: float | None, digits: int = 3) -> str:
    """Write a number, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def time_text(seconds: float | None) -> str:
    """Write a moment, in seconds since 1970, by this computer's clock and time zone, or a dash."""
    return "-" if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
