#!/bin/sh
# Put tus-js-client, which one test uploads with, into .venv/tus-js. As root on Debian and Ubuntu, node and npm are
# installed if they are missing.
set -eu
cd "$(dirname "$0")/.."

from=tests/e2e/tus_js
into=.venv/tus-js
log=.venv/npm.log

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "The test with tus-js-client needs node and npm: install them, for example from https://nodejs.org" >&2
        exit 1
    fi
    echo "Installing node and npm for the tests; this takes minutes" >&2
    if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        --no-upgrade -o DPkg::Lock::Timeout=300 install nodejs npm; } >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
fi

if [ ! -e "$into/installed.stamp" ] || [ "$from/package-lock.json" -nt "$into/installed.stamp" ]; then
    mkdir -p "$into"
    cp "$from/package.json" "$from/package-lock.json" "$into"
    if ! npm ci --prefix "$into" --no-audit --no-fund --ignore-scripts >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
    touch "$into/installed.stamp"
fi
