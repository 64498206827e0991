// Command docgen writes docs/reference/errors.md.
//
// Purpose: what `make docs` runs for the error reference. It lives here because only the server knows codes; it writes the one
// file it is given and nothing else. Read server/status first.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/postern-audit/postern/server/status"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) } //nolint:forbidigo // this is a main

func run(args []string, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(stderr, "usage: docgen FILE")
		return 2
	}
	if err := os.WriteFile(args[0], status.Reference(), 0o644); err != nil { //nolint:gosec // a page of the documentation
		fmt.Fprintln(stderr, "docgen:", err)
		return 1
	}
	return 0
}
