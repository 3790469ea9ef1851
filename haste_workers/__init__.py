"""Workers take tasks, run handlers in child processes, and report what became of them.

Who writes a handler needs these names only; see docs/handlers.md.
"""

from haste_workers.answers import Answer, Handler
from haste_workers.context import TaskContext

__all__ = ["Answer", "Handler", "TaskContext"]
