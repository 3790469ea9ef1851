#!/bin/sh
# Run the unit tests on each other Python that is supported and installed, in an environment of its own.
set -eu
cd "$(dirname "$0")/.."

own=$(.venv/bin/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
for python in python3.11 python3.12 python3.13; do
    [ "$python" != "$own" ] || continue
    # Run it rather than look for it: a version switcher leaves commands that only print an error.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || continue
    echo "Unit tests on $python" >&2
    "$python" -m venv --clear ".venv-$python"
    ".venv-$python/bin/pip" --disable-pip-version-check -q install -c constraints.txt -e '.[test]'
    ".venv-$python/bin/python" -m pytest -q tests/unit
done
