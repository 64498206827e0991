#!/usr/bin/env bash
# Makes sure oathtool is here: the tests of one-time codes take codes from it, a generator that has nothing to do with ours.
set -euo pipefail

if command -v oathtool >/dev/null 2>&1; then
	exit 0
fi

fail() {
	echo "error: $1" >&2
	echo "Tests of one-time codes need oathtool (2.6 or later) on PATH. $2" >&2
	exit 1
}

if [ "$(uname -s)" = Darwin ]; then
	fail "oathtool is not installed." "Run: brew install oath-toolkit"
fi
if ! command -v apt-get >/dev/null 2>&1; then
	fail "oathtool is not installed and there is no apt-get here." "Install it with this system's package manager."
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		fail "oathtool is not installed, and installing it needs root." "Run: sudo apt-get install -y --no-install-recommends oathtool"
	fi
	as_root=(sudo -n)
fi

echo "oathtool is not installed: installing Debian's package."
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null ||
	echo "warning: apt-get update failed; trying with the package lists that are here." >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends oathtool </dev/null ||
	fail "apt-get install oathtool failed." "See its output above."

command -v oathtool >/dev/null 2>&1 || fail "oathtool is still not on PATH after installing." "Is /usr/bin on PATH?"
oathtool --version | head -n 1
