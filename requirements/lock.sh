#!/bin/sh
# Writes the locks from pyproject.toml: every version with its hashes, for every Python and system we
# support, and no address of any registry. usage: lock.sh VENV [--upgrade]
set -eu
cd "$(dirname "$0")/.."
if command -v uv >/dev/null 2>&1; then uv=uv; else uv=$1/bin/uv; fi
shift

compile() { # compile NAME [more options]
    name=$1
    shift
    "$uv" pip compile --quiet --universal --fork-strategy requires-python --python-version 3.10 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
        --output-file "requirements/$name.lock" "$@"
}

# The largest set first; the others may only take versions from it, so that they can share one environment.
compile bench pyproject.toml --group bench --group lint "$@"
for name in dev lab cloud demo; do
    compile "$name" pyproject.toml --group "$name" --constraint requirements/bench.lock
done
# Beside the environment of the tests, and with the JupyterLab of `make lab`.
compile browser pyproject.toml --group browser --constraint requirements/bench.lock --constraint requirements/lab.lock
# A worker's image has these two alone, without what notebooks need: first what is in it, then what builds it.
compile worker --group worker --constraint requirements/bench.lock
compile image --group image --constraint requirements/bench.lock
# What the tests start in an environment of its own.
compile ministack --group ministack
