#!/usr/bin/env bash
# Makes sure the identity providers are here that tests sign in at: Dex (built from tools/idps) and two from npm (hack/idps).
# They are kept in a cache outside the repository, by what pins their versions, so that every clone and branch shares them;
# hack/idps/dex, bin-node and node_modules are links into it. With everything in place this takes a few milliseconds.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${POSTERN_IDPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postern-idps}"

fail() {
	echo "error: $1" >&2
	echo "Tests of federation sign in at real identity providers. $2" >&2
	exit 1
}

sum() { if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -c 1-16; }

# new_enough says whether a Node has what oidc-provider takes for granted. Debian 12's 18 lacks it.
new_enough() { "$1" -e 'process.exit(require("crypto").hash && URL.parse && globalThis.crypto ? 0 : 1)' 2>/dev/null; }

# packages DIRECTORY NAME installs what a lock file pins into the cache, once, and prints where.
packages() {
	local target work
	target="$cache/$2-$(sum <"$1/package-lock.json")"
	if [ ! -e "$target" ]; then
		echo "npm ci in $1" >&2
		work=$(mktemp -d "$cache/.$2.XXXXXX")
		cp "$1/package.json" "$1/package-lock.json" "$work/"
		if ! (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2); then
			rm -rf "$work"
			fail "npm ci in $1 failed." "See its output above."
		fi
		[ -e "$target" ] || mv "$work" "$target"
		rm -rf "$work" # somebody else was quicker
	fi
	echo "$target"
}

install_node() {
	if [ "$(uname -s)" = Darwin ]; then
		fail "node and npm are not installed." "Run: brew install node"
	fi
	if ! command -v apt-get >/dev/null 2>&1; then
		fail "node and npm are not installed and there is no apt-get here." "Install Node 22 or later with this system's package manager."
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
mkdir -p "$cache"
npm=$(packages hack/idps npm)
link node_modules "$npm/node_modules"

node=$(command -v node)
if ! new_enough "$node"; then
	dir=$(packages hack/idps/node node)
	node=$(echo "$dir"/node_modules/node-*/bin/node)
	new_enough "$node" || fail "node $(node --version) is too old, and npm has no other for this machine." "Install Node 22 or later."
fi
link bin-node "$node"

dex="$cache/dex-$(cat tools/idps/go.mod tools/idps/go.sum | sum)"
if [ ! -x "$dex" ]; then
	echo "building Dex (about a minute, once)"
	work=$(mktemp -d "$cache/.dex.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd tools/idps && CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -p=1" "${GO:-go}" build -trimpath -o "$work/dex" github.com/dexidp/dex/cmd/dex </dev/null) ||
		fail "building Dex failed." "See its output above."
	mv -f "$work/dex" "$dex"
fi
link dex "$dex"
