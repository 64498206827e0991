#!/usr/bin/env bash
# Makes sure the S3 server is here that tests keep files at: versitygw, built from tools/s3. It is kept in a cache outside the repository,
# by what pins its version, so that every clone and branch shares it; hack/s3/versitygw is a link into it.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${POSTERN_S3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postern-s3}"

sum() { if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -c 1-16; }

server="$cache/versitygw-$(cat tools/s3/go.mod tools/s3/go.sum | sum)"
if [ ! -x "$server" ]; then
	mkdir -p "$cache"
	echo "building versitygw (about a minute, once)"
	work=$(mktemp -d "$cache/.build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	if ! (cd tools/s3 && CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -p=1" "${GO:-go}" build -trimpath -o "$work/versitygw" github.com/versity/versitygw/cmd/versitygw </dev/null); then
		echo "error: building versitygw failed." >&2
		echo "Tests of exports keep files at a real S3 server. See its output above." >&2
		exit 1
	fi
	mv -f "$work/versitygw" "$server"
fi
mkdir -p hack/s3
if [ "$(readlink hack/s3/versitygw 2>/dev/null)" != "$server" ]; then
	ln -sfn "$server" hack/s3/versitygw
fi
