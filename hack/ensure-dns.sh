#!/usr/bin/env bash
# Makes sure named, the name server of BIND, is here: domain verification is tested against real ones on loopback ports.
# Only the binary is wanted. Debian's package also starts a service on port 53, so that start is refused while installing.
set -euo pipefail

if command -v named >/dev/null 2>&1; then
	exit 0
fi

fail() {
	echo "error: $1" >&2
	echo "Tests of domain verification need named of BIND (9.18 or later) on PATH. $2" >&2
	exit 1
}

if [ "$(uname -s)" = Darwin ]; then
	fail "named is not installed." "Run: brew install bind"
fi
if ! command -v apt-get >/dev/null 2>&1; then
	fail "named is not installed and there is no apt-get here." "Install it with this system's package manager."
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		fail "named is not installed, and installing it needs root." \
			"Run: sudo apt-get install -y --no-install-recommends bind9"
	fi
	as_root=(sudo -n)
fi

# Starting services is refused for the time of the installation only; a policy that is already there is left as it is.
policy=/usr/sbin/policy-rc.d
ours=no
restore() { [ "$ours" = no ] || "${as_root[@]}" rm -f "$policy"; }
trap restore EXIT
if [ ! -e "$policy" ]; then
	ours=yes
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod 0755 "$policy"
fi

echo "named is not installed: installing Debian's package (the binary only, its service is not started)."
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null ||
	echo "warning: apt-get update failed; trying with the package lists that are here." >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 install -y -qq --no-install-recommends bind9 </dev/null ||
	fail "apt-get install bind9 failed." "See its output above."
# The unit is enabled by the package; a machine that only runs these tests must not start it at the next boot either.
if command -v systemctl >/dev/null 2>&1; then
	"${as_root[@]}" systemctl disable named.service >/dev/null 2>&1 || true
fi

command -v named >/dev/null 2>&1 || fail "named is still not on PATH after installing." "Is /usr/bin on PATH?"
named -v
