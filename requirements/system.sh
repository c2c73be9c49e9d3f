#!/bin/sh
# Installs the system's programs that the tests of containers and of the browser use, where one is missing; on Debian
# and Ubuntu, as root.
# usage: system.sh
set -eu
missing=
for program in buildah podman runc mmdebstrap; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program netavark aardvark-dns fuse-overlayfs"
done
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing$missing with apt-get"
    options='-q -o DPkg::Lock::Timeout=400'
    # Podman and buildah only recommend a network back-end and a fast storage driver, and need them here.
    # shellcheck disable=SC2086
    apt-get $options update >/dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get $options install -y --no-install-recommends $missing ca-certificates >/dev/null
else
    echo "the tests need$missing; as root on Debian or Ubuntu: apt-get install$missing" >&2
    exit 1
fi
