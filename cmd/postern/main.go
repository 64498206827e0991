// Command postern is the sidecar and its command line, in one binary: `postern serve` runs it, the other commands talk to a
// running one.
//
// Purpose: hand arguments, environment and streams to package cli and its answer to the shell. Invariant: nothing else is here.
// It must never hold logic of its own. First file to read: cli/cli.go; serve/serve.go wires a process.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/postern-audit/postern/cmd/postern/cli"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away is an error of that write, and what was started is still closed
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
