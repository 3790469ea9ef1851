#!/bin/sh
# Install HASTE server into .venv: set_up.sh base|test|dev. Shows pip's output only if it fails.
set -eu
cd "$(dirname "$0")/.."

level=$1
log=.venv/pip.log

case $level in
    base) target=. included=base ;;
    test) target='.[test]' included='base test' ;;
    dev) target='.[dev]' included='base test dev' ;;
    *) echo "usage: $0 base|test|dev" >&2; exit 2 ;;
esac

# A .venv whose interpreter has been removed or upgraded away is made again, and so is one whose making was
# cut off: pip comes into it late, `activate` last.
if [ ! -e .venv/bin/activate ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(tools/find_python.sh)
    "$python" -m venv --clear .venv
fi

echo "Installing HASTE server into .venv ($level); the first time takes a minute or two" >&2
if ! .venv/bin/python -m pip --disable-pip-version-check --no-input \
    install -c constraints.txt -e "$target" >"$log" 2>&1; then
    cat "$log" >&2
    echo "pip could not install HASTE server; its output stands above and in $log" >&2
    exit 1
fi

for stamp in $included; do
    touch ".venv/$stamp.stamp"
done
