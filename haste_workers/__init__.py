"""Workers take tasks, run handlers in child processes, and report what became of them.

Who writes a handler needs these names only; see docs/handlers.md.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haste_workers.answers import Answer, Handler
    from haste_workers.context import TaskContext
else:
    # Loaded when they are asked for: `haste-worker --help` comes by here, too.
    _MODULES = {
        "Answer": "haste_workers.answers",
        "Handler": "haste_workers.answers",
        "TaskContext": "haste_workers.context",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_MODULES[name]), name)


__all__ = ["Answer", "Handler", "TaskContext"]
