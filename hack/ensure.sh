#!/usr/bin/env bash
# Makes sure a program that tests need is here, installing Debian's package where it is missing. Only the binary is wanted: where
# the package also brings a service, that is kept from starting, now and at the next boot.
set -euo pipefail

program=${1:?usage: hack/ensure.sh PROGRAM PACKAGE BREW WHY [SERVICE]}
package=$2
brew=$3
why=$4
service=${5:-}

# Debian keeps PostgreSQL's programs in directories of their version, off PATH.
here() { command -v "$program" >/dev/null 2>&1 || compgen -G "/usr/lib/postgresql/*/bin/$program" >/dev/null; }

if here; then
	exit 0
fi

fail() {
	echo "error: $1" >&2
	echo "$why on PATH. $2" >&2
	exit 1
}

if [ "$(uname -s)" = Darwin ]; then
	fail "$program is not installed." "Run: brew install $brew"
fi
if ! command -v apt-get >/dev/null 2>&1; then
	fail "$program is not installed and there is no apt-get here." "Install it with this system's package manager."
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		fail "$program is not installed, and installing it needs root." "Run: sudo apt-get install -y --no-install-recommends $package"
	fi
	as_root=(sudo -n)
fi

# Starting services is refused for the time of the installation only; a policy that is already there is left as it is.
policy=/usr/sbin/policy-rc.d
ours=no
restore() { [ "$ours" = no ] || "${as_root[@]}" rm -f "$policy"; }
trap restore EXIT
if [ -n "$service" ] && [ ! -e "$policy" ]; then
	ours=yes
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 0755 "$policy"
fi

echo "$program is not installed: installing Debian's package $package${service:+ (its service is not started)}."
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null ||
	echo "warning: apt-get update failed; trying with the package lists that are here." >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends "$package" </dev/null ||
	fail "apt-get install $package failed." "See its output above."
# The package enables its unit; a machine that only runs these tests must not start it at the next boot either.
if [ -n "$service" ] && command -v systemctl >/dev/null 2>&1; then
	"${as_root[@]}" systemctl disable "$service" >/dev/null 2>&1 || true
fi

here || fail "$program is still not on PATH after installing." "Is /usr/bin on PATH?"
