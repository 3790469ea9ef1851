"""What the project promises about speed, measured on whole systems with real servers.

Each is run as ``python -m benchmarks.NAME`` from the repository; the last line on standard output is one JSON
object ``{"benchmark": NAME, "figures": {…}}``.
"""
