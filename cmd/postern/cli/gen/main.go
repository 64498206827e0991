// Command gen writes docs/reference/cli.md from the commands of package cli.
//
// Invariant: the page says what --help says, and a test fails when it is stale. It must never be part of the binary. First file
// to read: this one. Run it with go generate in cmd/postern/cli.
package main

import (
	"fmt"
	"os"

	"github.com/postern-audit/postern/cmd/postern/cli"
)

func main() {
	if err := os.WriteFile("../../../docs/reference/cli.md", []byte(cli.Reference()), 0o644); err != nil { //nolint:gosec // documentation, for everybody
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
