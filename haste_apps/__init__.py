"""Programs that need several of the packages: the haste command, the demo, the simulated microscope.

`embedded` starts a server for a notebook or a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haste_apps.connected_server import embedded

__all__ = ["embedded"]


def __getattr__(name: str) -> object:
    # Not at import: the haste command imports this package for its --help, too.
    if name == "embedded":
        from haste_apps.connected_server import embedded

        return embedded
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
