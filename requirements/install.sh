#!/bin/sh
# Installs a lock and then the package itself (editable) into an environment: with uv when there is one or
# when pip can fetch it, else with pip alone. usage: install.sh VENV LOCK
set -eu
venv=$1
lock=$2

if command -v uv >/dev/null 2>&1; then
    uv=uv
elif [ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv >/dev/null 2>&1; then
    uv=$venv/bin/uv
else
    uv=
fi

echo "installing $lock with ${uv:-pip}"
if [ -n "$uv" ]; then
    # As pip does: what is compiled once here, every kernel and worker would compile again.
    "$uv" pip install --quiet --python "$venv/bin/python" --require-hashes --compile-bytecode -r "$lock"
    "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
else
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
