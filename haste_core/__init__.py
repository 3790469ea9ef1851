"""HASTE server: what a job, a score, a tier and a schedule are. Pure: no I/O."""
