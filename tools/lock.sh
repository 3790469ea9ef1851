#!/bin/sh
# Write constraints.txt: the newest version of every package that `.[dev]` brings, as pip chooses
# them for the oldest Python that is supported, so that the pins serve the newer ones as well.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3.11}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip --disable-pip-version-check --quiet install -e ".[dev]"
{
    echo "# Versions that are tested together on Python 3.11 to 3.13. Written by \`make lock\`."
    "$folder/venv/bin/python" -m pip freeze --exclude-editable
} >"$folder/constraints.txt"
mv "$folder/constraints.txt" constraints.txt
