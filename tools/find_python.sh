#!/bin/sh
# Print the Python interpreter to make .venv with: $PYTHON if set, else the newest that is tested
# here and can make virtual environments, else any other from 3.11 on.
set -eu

candidates=${PYTHON:-python3.13 python3.12 python3.11 python3}
incomplete=

for candidate in $candidates; do
    # Run it rather than look for it: a version switcher leaves commands that only print an error.
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$candidate"
        exit 0
    fi
    incomplete=${incomplete:-$candidate}
done

if [ -z "$incomplete" ]; then
    echo "HASTE server needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3" >&2
    exit 1
fi

# Debian and Ubuntu keep the part that makes virtual environments in a package of its own.
package=$("$incomplete" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "$incomplete cannot make virtual environments: install the package $package" >&2
    exit 1
fi
echo "Installing $package" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! {
    apt-get -qq update &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$package"
} >"$log" 2>&1; then
    cat "$log" >&2
    echo "$package could not be installed; apt's output stands above" >&2
    exit 1
fi
echo "$incomplete"
