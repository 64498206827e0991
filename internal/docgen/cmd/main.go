// Command docgen writes the generated reference pages, all of them or those named.
//
//	go run ./internal/docgen/cmd [-root DIR] [PAGE...]
//
// Purpose: what `make docs` runs. It writes files below -root and nothing else. Read internal/docgen first.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/postern-audit/postern/internal/docgen"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) } //nolint:forbidigo // this is a main

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("docgen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "repository root")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	wanted := flags.Args()
	written := 0
	for _, p := range docgen.Pages() {
		if len(wanted) > 0 && !slices.Contains(wanted, p.Name) {
			continue
		}
		path := filepath.Join(*root, filepath.FromSlash(p.Path))
		if err := write(path, p.Render()); err != nil {
			fmt.Fprintln(stderr, "docgen:", err)
			return 1
		}
		written++
	}
	if written < len(wanted) || written == 0 {
		fmt.Fprintf(stderr, "docgen: some of %v is no page\n", wanted)
		return 2
	}
	return 0
}

func write(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // documentation is for everybody
		return err
	}
	return os.WriteFile(path, b, 0o644) //nolint:gosec // documentation is for everybody
}
