"""Workers: take tasks, run their handlers in child processes, report."""
