#!/bin/sh
# Installs the node packages of labextension/ from their lock. usage: node.sh
set -eu
cd "$(dirname "$0")/../labextension"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null &&
    command -v npm >/dev/null || {
    echo 'checking and building the view needs node (20.19 or newer) and npm; on Debian and Ubuntu: apt install nodejs npm' >&2
    exit 1
}
echo 'installing labextension/package-lock.json'
npm ci --ignore-scripts --no-audit --no-fund --silent
