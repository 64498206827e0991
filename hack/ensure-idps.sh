#!/usr/bin/env bash
# Makes sure the identity providers are here that tests sign in at: Dex (built from tools/idps) and two from npm (hack/idps).
# They are kept in a cache outside the repository, by what pins their versions, so that every clone and branch shares them;
# hack/idps/dex and hack/idps/node_modules are links into it. With everything in place this takes a few milliseconds.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${POSTERN_IDPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postern-idps}"

fail() {
	echo "error: $1" >&2
	echo "Tests of federation sign in at real identity providers. $2" >&2
	exit 1
}

sum() { if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -c 1-16; }

node_major() { node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p'; }

install_node() {
	if [ "$(uname -s)" = Darwin ]; then
		fail "node and npm are not installed." "Run: brew install node"
	fi
	if ! command -v apt-get >/dev/null 2>&1; then
		fail "node and npm are not installed and there is no apt-get here." "Install Node 20 or later with this system's package manager."
	fi
	local as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		if ! sudo -n true 2>/dev/null; then
			fail "node and npm are not installed, and installing them needs root." \
				"Run: sudo apt-get install -y --no-install-recommends nodejs npm"
		fi
		as_root=(sudo -n)
	fi
	echo "node or npm is not installed: installing Debian's packages."
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null ||
		echo "warning: apt-get update failed; trying with the package lists that are here." >&2
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends nodejs npm </dev/null ||
		fail "apt-get install nodejs npm failed." "See its output above."
}

# link NAME TARGET makes hack/idps/NAME point there, also when two builds do so at once.
link() {
	if [ "$(readlink "hack/idps/$1" 2>/dev/null)" != "$2" ]; then
		ln -sfn "$2" "hack/idps/$1"
	fi
}

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
	install_node
fi
if [ "$(node_major)" -lt "${IDPS_NODE:-18}" ]; then
	fail "node $(node --version) is too old." "Install Node 20 or later."
fi

mkdir -p "$cache"
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

packages="$cache/npm-$(sum <hack/idps/package-lock.json)"
if [ ! -e "$packages" ]; then
	echo "npm ci of the identity providers in hack/idps"
	work=$(mktemp -d "$cache/.npm.XXXXXX")
	cp hack/idps/package.json hack/idps/package-lock.json "$work/"
	(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null) ||
		fail "npm ci failed." "See its output above."
	mv -T "$work" "$packages" 2>/dev/null || [ -e "$packages" ] # somebody else was quicker
fi
link node_modules "$packages/node_modules"

dex="$cache/dex-$(cat tools/idps/go.mod tools/idps/go.sum | sum)"
if [ ! -x "$dex" ]; then
	echo "building Dex (about a minute, once)"
	work=$(mktemp -d "$cache/.dex.XXXXXX")
	(cd tools/idps && CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -p=1" "${GO:-go}" build -trimpath -o "$work/dex" github.com/dexidp/dex/cmd/dex </dev/null) ||
		fail "building Dex failed." "See its output above."
	mv -f "$work/dex" "$dex"
fi
link dex "$dex"
