#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the given time each (go's fuzzer takes one target a call).
set -euo pipefail

time=${1:?usage: hack/fuzz.sh TIME}
go=${GO:-go}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

# path/to/x_test.go:func FuzzName(  ->  ./path/to FuzzName
targets=$({ grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' . || true; } |
	sed -E 's|/[^/]*:func (Fuzz[A-Za-z0-9_]*)\($| \1|' | sort -u)
if [ -z "$targets" ]; then
	echo "error: no fuzz target found; there are parsers, so there must be some" >&2
	exit 1
fi
count=0
while read -r pkg target; do
	echo "fuzz $pkg $target ($time)"
	"$go" test -run '^$' -fuzz "^${target}\$" -fuzztime "$time" -timeout 10m "$pkg" </dev/null
	count=$((count + 1))
done <<<"$targets"
echo "$count fuzz targets ran, none found a failure"
